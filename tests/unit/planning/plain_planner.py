"""The planner's rules written down without a thought for time, to compare the real one with."""

from __future__ import annotations

from disco_rq.planning.assignment import Assignment
from disco_rq.planning.jobstate import AHEAD_BELOW_S, JobState
from disco_rq.planning.planner import Outlook, Planner


class PlainPlanner(Planner):
    """Looks at every node and sorts all jobs for each batch."""

    def plan(self, now_s: float) -> list[Assignment]:
        for job in self.board.jobs.values():
            job.wake(now_s)
        nodes = {name: node for name, node in self.board.nodes.items() if node.is_open}
        rivals = [job for job in self.board.jobs.values() if job.turn_now() is not None]
        due = sum(node.slots for node in nodes.values()) / max(len(rivals), 1)
        fast = sum(node.slots for node in nodes.values() if node.slowness(now_s) == 1)
        outlook = Outlook(now_s, {"": due}, fast)
        answer = []
        while nodes:
            name = min(nodes, key=lambda name: (nodes[name].batches / nodes[name].slots, name))
            if nodes[name].batches > nodes[name].slots:
                break  # the emptiest node has its slots full and one ahead
            assignment = self._for(name, outlook)
            if assignment is None:
                del nodes[name]
                continue
            for task, attempt in assignment.tasks:
                self.board.task_assigned(
                    assignment.job, task, attempt, node=name, batch_id=assignment.batch_id, now_s=now_s
                )
            self._turn += 1
            self.board.jobs[assignment.job].turn = self._turn
            answer.append(assignment)
        return answer

    def _for(self, name: str, outlook: Outlook) -> Assignment | None:
        node = self.board.nodes[name]
        for job in sorted(self.board.jobs.values(), key=_place):
            phase_name, phase = job.open_phase()
            if job.paused or not phase.pending or name in job.refused:
                continue
            if job.max_cores is not None and job.batches >= job.max_cores:
                continue
            if node.batches == node.slots and (phase.mean_s is None or phase.mean_s > AHEAD_BELOW_S):
                if job.force_local and phase is job.maps and not phase.local.get(name):
                    continue
                return None  # it waits for a free slot, and must find it free
            if self._others_are_sooner(job, phase, name, outlook):
                continue
            tasks = self._pick(job, phase_name, phase, name, phase.batch_size(outlook.due[""]))
            if tasks:
                attempts = tuple((task, job.attempts.get(task, 0) + 1) for task in tasks)
                return Assignment(job.name, name, attempts, self.tag)
        return None


def _place(job: JobState) -> tuple[int, int, int, int, str]:
    return -job.priority, job.batches, job.turn, job.submitted_ms, job.name
