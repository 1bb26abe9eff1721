"""Which traces are kept: a part of those that begin here, whole or not at all; those of others as they say."""
from __future__ import annotations

from shared.hosting.spans import Ended
from shared.hosting.tracing import SamplingTracer
from shared.kernel.trace import trace_id_of, traceparent_of

KEPT, NOT_KEPT = (f"00-{'a' * 32}-{'b' * 16}-{flag}" for flag in ("01", "00"))
ODD = KEPT[:-2] + "02"


def made(sample: float) -> tuple[SamplingTracer, list[Ended]]:
    spans: list[Ended] = []
    return SamplingTracer("test", spans.append, sample), spans


def test_of_the_traces_that_begin_here_the_part_is_kept_and_the_others_leave_nothing_to_go_on_with():
    tracer, spans = made(0.1)
    begun = [tracer.begin("call", "server") for _ in range(3000)]
    for one in begun:
        one.end()
    kept = [one.traceparent for one in begun if one.traceparent]
    assert 150 < len(kept) < 450 and all(traceparent_of(one) for one in kept)
    assert [span.trace_id for span in spans] == [trace_id_of(one) for one in kept]
    inside = tracer.begin("step", "client", kept[0])
    assert trace_id_of(inside.traceparent) == trace_id_of(kept[0]), "what goes on belongs to it"


def test_a_span_has_the_names_of_opentelemetry_its_place_in_the_trace_and_what_went_wrong():
    tracer, spans = made(1.0)
    outer = tracer.begin("do.x", "server", http_route="/x", edgemere_correlation__id="c", nothing=None, empty="")
    inner = tracer.begin("x.y", "client", outer.traceparent)
    inner.end("x.unavailable")
    outer.end(http_response_status__code=503)
    within, around = spans
    assert around.attributes == {"http.route": "/x", "edgemere.correlation_id": "c", "http.response.status_code": 503} and around.error == ""
    assert (within.parent_id, within.trace_id) == (around.span_id, around.trace_id) and around.parent_id == ""
    assert within.attributes == {"error.type": "x.unavailable"} and within.error == "x.unavailable"
    assert around.began_ns <= within.began_ns <= within.ended_ns <= around.ended_ns
    assert len({one.traceparent for one in (tracer.begin("z", "server") for _ in range(100))}) == 100


def test_what_callers_began_is_kept_as_they_say():
    for sample in (0.0, 1.0):
        tracer, spans = made(sample)
        for other in (NOT_KEPT, ODD):
            assert tracer.begin("call", "server", other).traceparent == other, "it goes on as it came"
            tracer.begin("call", "server", other).end()
        tracer.record("copy", "internal", NOT_KEPT, 1, 2)
        assert spans == []
        tracer.begin("call", "server", KEPT).end()
        tracer.record("copy", "internal", KEPT, 1, 2)
        assert [span.name for span in spans] == ["call", "copy"]


def test_a_batch_is_kept_for_those_of_its_messages_that_are():
    tracer, spans = made(0.0)
    tracer.begin("batch", "consumer", links=[NOT_KEPT, NOT_KEPT]).end()
    assert spans == []
    tracer.begin("batch", "consumer", links=[NOT_KEPT, KEPT]).end()
    span, = spans
    assert span.links == [KEPT] and span.parent_id == ""
