"""Every key that disco-rq keeps in Redis: name, type, content, writer, lifetime. Nothing else spells one.

The words: *task* is ``map:3``; *attempt* ``map:3/2`` is the second execution of it; times are milliseconds of
the Redis server's clock since 1970. W names the writer; what is not said to end is kept.

The cluster:

====================  ======  =============================================================================
disco:leader          string  token of the leading master. W: master, every 2 s. Expires with its lease
disco:master          string  "host:port" of the leading master's HTTP address. W: master
disco:cluster         string  a random word, which it is: where there is a secret. W: node, client; told again
disco:control         stream  what happened, for the master: k (kind), j (job), t (task), a (attempt),
                              n (node), ms (duration), w (why); of a batch that is done t, a and ms of
                              each task, with blanks between. W: every transition. Trimmed by the master
                              as read
disco:jobs            zset    job -> time of submission. W: submit. A job leaves with clean or purge
disco:active          set     jobs that are active. W: submit. A job leaves when it ends
disco:slots           zset    "node worker" -> end of its lease. W: the worker, every 2 s. The master removes
                              those that ended
disco:leases          zset    "job task attempt" -> end of its lease (0: its worker died). W: claim, renew.
                              Leaves with the end of the attempt
disco:nodes           set     names of the nodes that were seen. W: worker. One leaves when it is forgotten,
                              and with it all of its own keys below
disco:node:<node>     hash    where it is and how it fared: host, data, word, python, version, url (of its
                              data server), life (a random word of each start of the node),
                              url_seal (signatures of both, one a key of the secret);
                              done, data_error, error, lost; ms, records, bytes and done_under:<ms> (see
                              model) of what is done; seen (last sign of life), left
                              (when it, or a worker of it, said good-bye: if that was last, it has left);
                              memory_total, memory_free, disk_total, disk_free, load, clock_ms (how far its
                              clock is ahead of the server's); protocol; secret (fingerprints of its keys);
                              rq_prefix (what its keys of RQ begin with);
                              unknown_jobs (that Redis does not know, and of which it has files), swept_in_s
                              (when the first of these go).
                              W: worker, node; commit, fail; renew
disco:node:<node>:packages
                      hash    what is installed there: top-level module -> "", distribution -> version.
                              W: worker, when it changes
disco:blacklist       set     nodes that get no new tasks, and lose what is queued. W: client
disco:draining        set     nodes that get no new tasks, and finish what they have. W: client
disco:closed          hash    "node cause" -> why the node itself takes no tasks now: cause "disk" (too little
                              room), "leave" (it was told to end). W: worker, node. A field leaves with its
                              cause
disco:owners          hash    how the master that leads deals slots among owners of jobs: shares, slots (texts
                              of its settings). None where it has neither. W: master
disco:waiting         hash    active job that cannot go on -> what it waits for, as its history tells it.
                              W: master, whole, when it changes
disco:ends            hash    job that has ended, and whose end is to be told -> JSON: on_end (as its hash has
                              it), status, cause. W: whatever ends the job. A field leaves when the master
                              has put the call into its RQ queue, in one transaction with that
disco:unique          hash    what tells a job from others (a digest) -> the active job that is so.
                              W: submit. A field leaves when the job ends
disco:totals          hash    since the cluster began: msgs_dropped, oob_refused (puts over the quota),
                              copies (that were started). W: message, put, copy
disco:purges:<node>   set     jobs whose files the node is to delete; with "keep " before it: to mark as
                              kept; with "spare ": to note that it is purged. W: purge, clean. A job leaves
                              when it is done
disco:wake:<node>     list    wakes a worker of the node for that. W: purge. Expires after 60 s
disco:adopters:<job>  set     jobs that have adopted outputs of it, with "!" before one to which they are
                              results; "-" when it is purged itself, while its files stay for them.
                              W: adopt, purge. One leaves with its purge; the last one takes the files along
disco:spared          zset    job that is purged, and whose files stay for others -> when an output of it was
                              adopted last. W: purge, adopt. A job leaves with the last who needs it, or when
                              there are too many (``DISCO_RQ_REUSE_MAX``)
disco:codes:<digest>  zset    job whose maps do what that says (client.codes) -> time of submission.
                              W: submit. A job leaves with clean or purge
disco:sources:<job>   set     jobs of which it has adopted outputs. W: adopt. Leaves with its purge
====================  ======  =============================================================================

A job, all under ``disco:job:<job>``, until it is cleaned or purged:

====================  ======  =============================================================================
(the key itself)      hash    status (active, ready, dead), submitted, ended, owner, priority, nr_maps,
                              nr_reduces (tasks), last_phase, submission (token of the client's call), unique
                              (its digest, if it is), on_end (JSON of whom its end is to be told, signed),
                              gc_after (seconds from its end to its purge, if it says so), map:waiting,
                              map:running, map:done, map:failed, map:entries, map:records, map:bytes, map:ms
                              (sum of durations), map:started (first claim), map:ended and the same for
                              reduce:, copies (that were started), cause (JSON, of a dead job), msgs_dropped,
                              paused, pilot (JSON of what was so when its pilot was over: at, done (maps),
                              slots, others (attempts of other jobs), failed, bad, bytes, largest partition;
                              empty before), ranges (digest of its ranges), max_bad (if some entries may be
                              bad), bad (entries that its maps have left out), bad:of (those that these have
                              read, where some may be bad), kept (tasks of the job that it goes on with),
                              retry_of, retried_as (jobs), reused (maps of others), "from <job>" (how many of
                              that job it has adopted), code (digests: what its maps do), reuse (JSON: why its
                              maps are run -> how many), going (it is being purged), checks (how many maps are
                              checked), check:waiting and the like of their checks, unchecked (checks that
                              were given up). W: submit, adopt; claim, copy, commit, fail, kill; message;
                              pause; fix; purge
:spec                 string  the job as submitted (msgpack of model.JobSpec). W: submit
:pack                 string  its functions and params, signed (packing). W: submit
:inputs               hash    index of a map -> its input (msgpack of model.MapInput); without a map, of what
                              every reduce reads. W: submit
:ranges               string  the bounds of its partitions (packed by shuffle.ranges), signed by the task that
                              made them, where it has ranges. W: fix
:tasks                hash    task -> "state attempt node batch worker since": queued, running, done, waiting.
                              No field: waiting, never tried. The check of map:3 is a task, check:3; done
                              may mean given up. W: assign, claim, commit, fail, lose
:copies               hash    the same of a second attempt of a task that runs and lags: queued, running;
                              waiting: it ended, and its number is taken. W: copy, claim, commit, fail, lose.
                              A field leaves when its attempt becomes the task's own, or is counted there
:failures             hash    task -> JSON list of its failures that count: node, kind, at, attempt, message,
                              url. W: fail, lose
:attempts             hash    attempt -> JSON: node, worker, started, ended, outcome, error, entries,
                              records, bytes, put; of the first failures also traceback, url; of (where the
                              output of another job is that counts as this one). W: commit, fail, adopt.
                              Outcome overtaken: the other one of two was committed first
:outputs              hash    task -> address of its committed output. W: commit
:commits              stream  results in the order of their commits: t (task), o (address). W: commit
:digests              hash    map -> digests of the partitions of its committed output, 4 bytes each
                              (records.digest), kept when the output is lost; "changed <partition>" -> how
                              often maps that were made again came back different there. W: commit
:given                hash    task -> JSON: oob (the keys that it put), counters (name -> amount): what is
                              taken back if it comes back different, or given to a job that keeps it;
                              "of <map>" -> the attempt whose answer counts, of a map that was lost once;
                              "replaced" -> how often OOB results were; "reader" -> a reduce that is done and
                              has read some. W: commit, lose, adopt
:bad                  hash    map -> JSON: n (bad entries that it has left out), of (entries that it has
                              read), attempt, node (beside whose output they are), causes (as a commit tells
                              them), at (beside which output of another job they are). No field: none.
                              W: commit; adopt; fail, of the attempt that was one too many
:bad:causes           hash    what is wrong with bad entries -> JSON: label, n, examples (places); at most
                              about 100 causes. W: commit, fail
:oob                  hash    key -> value of the committed OOB results, as text where possible. W: commit
:oob:types            hash    key -> "j" (JSON) or "b" (bytes); no field: str. W: commit
:oob:owners           hash    key -> task that put it, committed or not. W: put; freed by fail
:staged:<task>        hash    "number key" -> type letter and value, put by the attempt of that number, which
                              runs. W: put. Fields leave with the end of the attempt
:pilot                set     maps of its pilot that are not done yet. W: submit; commit, which pauses the job
                              behind the last one
:remade               set     maps that were committed once and lost their output. W: lose
:counters             hash    name -> sum over the committed tasks. W: commit
:nodes                set     nodes that ran tasks of it. W: claim
:partitions           hash    partition -> bytes that the committed maps wrote for it. W: commit
:quota                hash    "put <attempt>" -> results it put; "second", "messages": the message window;
                              "sent": the tokens of the last messages, so that none is sent twice.
                              W: put, message
:events               stream  the history: h (host), m (message), k ("msg" of the job, "sys" ours); about the
                              last 10,000. W: everything
====================  ======  =============================================================================

RQ's own keys (``rq:…``) are RQ's affair; the queue of a node is ``disco.<node>``.

With ``DISCO_RQ_PREFIX=team1`` all have ``team1`` in place of ``disco``, and RQ's begin with ``team1:rq``. RQ
reads its own when it is imported, so that a process has one prefix.
"""

from __future__ import annotations

import os

from disco_rq.model import TaskId
from disco_rq.settings import key_prefix, rq_prefix

_PREFIX = key_prefix(os.environ)
_RQ_PREFIX = rq_prefix(os.environ)
LEADER = f"{_PREFIX}:leader"
MASTER = f"{_PREFIX}:master"
CLUSTER = f"{_PREFIX}:cluster"
CONTROL = f"{_PREFIX}:control"
JOBS = f"{_PREFIX}:jobs"
ACTIVE = f"{_PREFIX}:active"
SLOTS = f"{_PREFIX}:slots"
LEASES = f"{_PREFIX}:leases"
NODES = f"{_PREFIX}:nodes"
BLACKLIST = f"{_PREFIX}:blacklist"
DRAINING = f"{_PREFIX}:draining"
CLOSED = f"{_PREFIX}:closed"
TOTALS = f"{_PREFIX}:totals"
SPARED = f"{_PREFIX}:spared"
ENDS = f"{_PREFIX}:ends"
OWNERS = f"{_PREFIX}:owners"
WAITING = f"{_PREFIX}:waiting"
UNIQUE = f"{_PREFIX}:unique"


def cluster_types() -> dict[str, str]:
    """The keys that the whole cluster shares, and what Redis calls them."""
    return {
        **dict.fromkeys((LEADER, MASTER, CLUSTER), "string"),
        **dict.fromkeys((JOBS, SLOTS, LEASES, SPARED), "zset"),
        **dict.fromkeys((ACTIVE, NODES, BLACKLIST, DRAINING), "set"),
        **dict.fromkeys((CLOSED, TOTALS, ENDS, UNIQUE, OWNERS, WAITING), "hash"),
        CONTROL: "stream",
    }


def node(name: str) -> str:
    return f"{_PREFIX}:node:{name}"


def packages(node_name: str) -> str:
    return f"{node(node_name)}:packages"


def purges(node_name: str) -> str:
    return f"{_PREFIX}:purges:{node_name}"


def wake(node_name: str) -> str:
    return f"{_PREFIX}:wake:{node_name}"


def adopters(job: str) -> str:
    """Who has adopted outputs of a job."""
    return f"{_PREFIX}:adopters:{job}"


def sources(job: str) -> str:
    """From whom a job has adopted outputs."""
    return f"{_PREFIX}:sources:{job}"


def codes(digest: str) -> str:
    """The jobs whose maps do what a digest says."""
    return f"{_PREFIX}:codes:{digest}"


def adoption_types(job: str) -> dict[str, str]:
    """The keys that tell who needs whose files, and what Redis calls them."""
    return dict.fromkeys((adopters(job), sources(job)), "set")


def node_types(node_name: str) -> dict[str, str]:
    """The keys of one node, and what Redis calls them."""
    return {
        node(node_name): "hash",
        packages(node_name): "hash",
        purges(node_name): "set",
        wake(node_name): "list",
    }


def queue(node_name: str) -> str:
    """The RQ queue of a node (RQ adds its own prefix)."""
    return f"{_PREFIX}.{node_name}"


def is_of_node(queue_name: str) -> bool:
    """Whether an RQ queue is a node's, or may become one's."""
    return queue_name.startswith(queue(""))


def rq_keys() -> str:
    """What RQ's keys begin with."""
    return _RQ_PREFIX


def rq_list(node_name: str) -> str:
    """The list in which RQ keeps that queue; for its length only."""
    return f"{_RQ_PREFIX}:queue:{queue(node_name)}"


def rq_suspended() -> str:
    """The key that RQ has while its workers are suspended; only to be looked at."""
    return f"{_RQ_PREFIX}:suspended"


class RecordKey:
    """One of the keys of a job: an attribute of its ``JobKeys``."""

    __slots__ = ("suffix",)

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix

    def __get__(self, job: JobKeys, _: type[JobKeys]) -> str:
        return job.prefix + self.suffix


class JobKeys:
    """The keys of one job. Cheap to make."""

    __slots__ = ("job", "prefix")

    spec = RecordKey("spec")
    pack = RecordKey("pack")
    inputs = RecordKey("inputs")
    ranges = RecordKey("ranges")
    tasks = RecordKey("tasks")
    copies = RecordKey("copies")
    failures = RecordKey("failures")
    attempts = RecordKey("attempts")
    outputs = RecordKey("outputs")
    commits = RecordKey("commits")
    digests = RecordKey("digests")
    given = RecordKey("given")
    bad = RecordKey("bad")
    bad_causes = RecordKey("bad:causes")
    oob = RecordKey("oob")
    oob_types = RecordKey("oob:types")
    oob_owners = RecordKey("oob:owners")
    pilot = RecordKey("pilot")
    remade = RecordKey("remade")
    counters = RecordKey("counters")
    nodes = RecordKey("nodes")
    partitions = RecordKey("partitions")
    quota = RecordKey("quota")
    events = RecordKey("events")

    def __init__(self, name: str) -> None:
        # Text that no job is called, from a command line perhaps, need not be text that Redis takes.
        self.job = f"{_PREFIX}:job:{name}".encode("utf-8", "backslashreplace").decode()
        self.prefix = f"{self.job}:"

    def staged(self, task: TaskId) -> str:
        return f"{self.prefix}staged:{task}"

    def records(self) -> list[str]:
        """Every key of the job but the staged ones."""
        return [self.job, *(self.prefix + key.suffix for key in _record_keys)]

    def types(self) -> dict[str, str]:
        """Every key of the job but the staged ones, and what Redis calls them."""
        others = {
            **dict.fromkeys((self.spec, self.pack, self.ranges), "string"),
            **dict.fromkeys((self.commits, self.events), "stream"),
        }
        others |= dict.fromkeys((self.nodes, self.pilot, self.remade), "set")
        return {key: others.get(key, "hash") for key in self.records()}


_record_keys = [key for key in vars(JobKeys).values() if isinstance(key, RecordKey)]
