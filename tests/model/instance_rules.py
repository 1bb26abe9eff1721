"""What users do with single instances, as rules of the model of the whole flow: destroy, bring back, keep, try again."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from tests.model.steps import WHICH, one_of, rule
from tests.support.calling import Answer, Caller


class InstanceRules(RuleBasedStateMachine):
    """Mixed into the machine that has the mesh; ``live`` lists the objects of its requests."""

    caller: Caller

    def live(self, noun: str, **of: Any) -> list[dict[str, Any]]:
        raise AssertionError("the machine has it")

    def refused(self, noun: str, move: str, answer: Answer) -> None:
        raise AssertionError("the machine has it")

    @rule(which=WHICH, times=st.integers(1, 2))
    def destroy_an_instance(self, which: int, times: int) -> None:
        for one in one_of(self.live("datainstance"), which):
            for _ in range(times):
                answer = self.caller.call("datainstance destroy", attr1=one["id"])
                if answer.status == 409:
                    assert answer["code"] == "datainstance.pinned" and answer["pin"]["until"], answer
                    return
                assert answer.status == 200 and answer["state"] == "Destroyed", answer
            for entry in one["access"]:
                assert entry["action"] != "copy" or not Path(entry["path"] or "/none").exists() or one["state"] != "Ready", entry

    @rule(which=WHICH)
    def bring_an_instance_back(self, which: int) -> None:
        """What comes back is what it was; or the refusal says why, and nothing is claimed."""
        for one in one_of(self.live("datainstance", state="Destroyed"), which):
            answer = self.caller.call("datainstance undo", patience_s=5, id=one["id"])
            assert answer.status in (200, 202, 409) or (answer.status == 404 and self.destroyed), answer
            if answer.status == 409:
                assert answer["code"] in ("datainstance.illegal_move", "datainstance.grace_over", "datainstance.request_over",
                                          "datainstance.name_taken", "source.no_capacity", "datasource.not_ready", "datasource.not_found"), answer
                assert answer["next_step"], answer
            elif answer["state"] == "Ready":
                for entry in answer["access"]:
                    assert entry["verified"] == "simulated" or Path(entry["path"]).stat().st_size == entry["size"], entry

    @rule(which=WHICH, move=st.sampled_from(["renew", "pin", "unpin"]))
    def keep_an_instance(self, which: int, move: str) -> None:
        for one in one_of(self.live("datainstance"), which):
            answer = self.caller.call(f"datainstance {move}", id=one["id"], **({"until": "2s"} if move == "pin" else {}))
            assert answer.status in (200, 404, 409), answer
            if answer.status == 409:
                assert answer["code"] in ("datainstance.no_end", "datainstance.not_ready", "datainstance.request_over"), answer
            elif answer.status == 200:
                assert move == "renew" or answer["pinned"] == (move == "pin"), answer

    @rule(which=WHICH)
    def retry_an_instance(self, which: int) -> None:
        for one in one_of(self.live("datainstance"), which):
            answer = self.caller.call("datainstance retry", id=one["id"])
            assert answer.status in (200, 404, 409), answer
            if answer.status == 409:
                self.refused("datainstance", "retry", answer)
