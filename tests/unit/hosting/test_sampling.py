"""Which traces are kept: a part of those that begin here, whole or not at all; those of others as they say."""
from __future__ import annotations

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.hosting.tracing import OpenTelemetryTracer
from shared.kernel.trace import trace_id_of, traceparent_of

KEPT, NOT_KEPT = (f"00-{'a' * 32}-{'b' * 16}-{flag}" for flag in ("01", "00"))


def made(sample: float) -> tuple[OpenTelemetryTracer, InMemorySpanExporter]:
    spans = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return OpenTelemetryTracer(provider.get_tracer("test"), sample), spans


def test_of_the_traces_that_begin_here_the_part_is_kept_and_the_others_leave_nothing_to_go_on_with():
    tracer, spans = made(0.1)
    begun = [tracer.begin("call", "server") for _ in range(3000)]
    for one in begun:
        one.end()
    kept = [one.traceparent for one in begun if one.traceparent]
    assert 150 < len(kept) < 450 and all(traceparent_of(one) for one in kept)
    assert [f"{span.context.trace_id:032x}" for span in spans.get_finished_spans()] == [trace_id_of(one) for one in kept]
    inside = tracer.begin("step", "client", kept[0])
    assert trace_id_of(inside.traceparent) == trace_id_of(kept[0]), "what goes on belongs to it"


def test_what_callers_began_is_kept_as_they_say():
    for sample in (0.0, 1.0):
        tracer, spans = made(sample)
        tracer.begin("call", "server", NOT_KEPT).end()
        tracer.record("copy", "internal", NOT_KEPT, 1, 2)
        assert spans.get_finished_spans() == ()
        tracer.begin("call", "server", KEPT).end()
        tracer.record("copy", "internal", KEPT, 1, 2)
        assert [span.name for span in spans.get_finished_spans()] == ["call", "copy"]


def test_a_batch_is_kept_for_those_of_its_messages_that_are():
    tracer, spans = made(0.0)
    tracer.begin("batch", "consumer", links=[NOT_KEPT, NOT_KEPT]).end()
    assert spans.get_finished_spans() == ()
    tracer.begin("batch", "consumer", links=[NOT_KEPT, KEPT]).end()
    span, = spans.get_finished_spans()
    assert len(span.links) == 1
