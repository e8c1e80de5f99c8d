"""Each event as a line that a person reads."""

from __future__ import annotations

from node import journal
from node.view.read_models import TEXT_MAX, Level, LogLine
from node.words import accuracy, count, duration, plain, size

_VERDICT_LEVELS: dict[str, Level] = {"quarantined": "error", "evicted": "error", "suspect": "warning"}


def line_of(event: journal.Event, event_id: int) -> LogLine:
    """The line of `event`."""
    level, text = _told(event)
    peer = getattr(event, "peer", None)
    return LogLine(
        id=event_id,
        at=event.at,
        level=level,
        kind=event.type,
        text=plain(text, TEXT_MAX),
        round=getattr(event, "round", None),
        peer=None if peer is None else plain(peer),
    )


def _told(event: journal.Event) -> tuple[Level, str]:
    match event:
        case journal.RoundClosed():
            return _round(event)
        case journal.Started():
            how = f"resumed at round {event.round}" if event.resumed else "started"
            return "info", f"{event.name} {how}: {count(event.parameters, 'parameter')}, {event.rounds} rounds"
        case journal.Ready():
            return "info", f"ready: {event.up} of {event.expected} neighbours up"
        case journal.Connected():
            return "info", f"{event.peer} connected, {event.up} up"
        case journal.Disconnected():
            return "warning", f"{event.peer} disconnected, {event.up} up: {event.reason}"
        case journal.Finished():
            return "info", f"all {count(event.rounds, 'round')} done"
        case journal.Stopped():
            return "info", f"stopped: {event.reason}"
        case _:
            return _of_peer(event)


def _sure(event: journal.Faulted) -> str:
    return ", proved" if event.proved else ", witnessed" if event.witnessed else ""


def _round(event: journal.RoundClosed) -> tuple[Level, str]:
    if event.outcome == "void":
        return "warning", f"round {event.round} void: {event.void or 'no quorum was present'}"
    absent = f", {len(event.absent)} absent" if event.absent else ""
    traffic = size(event.bytes_sent + event.bytes_received)
    who = f"{len(event.present)} averaged{absent}"
    text = f"accuracy {accuracy(event.holdout_accuracy)}, {who}, {duration(event.round_s)}, {traffic}"
    return "info", f"round {event.round} closed: {text}"


def _of_peer(event: journal.Event) -> tuple[Level, str]:
    match event:
        case journal.Evidence():
            level: Level = "error" if event.severity in ("high", "witnessed", "proved") else "warning"
            return level, f"evidence against {event.peer} ({event.severity}, {event.kind}): {event.reason}"
        case journal.Faulted():
            return "error", f"fault of {event.peer}{_sure(event)}: {event.reason}"
        case journal.VerdictChanged():
            change = f"{event.peer}: {event.before} → {event.after}"
            return _VERDICT_LEVELS.get(event.after, "info"), f"{change}: {event.reason}"
        case journal.Recalled():
            if event.rounds:
                return "warning", f"what {event.peer} brought to {count(len(event.rounds), 'round')} was taken out"
            return "error", f"what {event.peer} brought could not be taken out: {event.refused or 'no reason told'}"
        case journal.Refused():
            who = event.peer or event.address
            return "warning", f"refused {who}{f' {event.count} times' if event.count > 1 else ''}: {event.reason}"
        case _:
            return _of_model(event)


def _of_model(event: journal.Event) -> tuple[Level, str]:
    match event:
        case journal.Promoted():
            before = "" if event.previous_holdout_loss is None else f", before {event.previous_holdout_loss:.4g}"
            return "info", f"version {event.version} promoted: holdout loss {event.holdout_loss:.4g}{before}"
        case journal.RolledBack():
            return "warning", f"rolled back to version {event.to_version}: {event.reason}"
        case journal.Charged():
            return "debug", f"charged: ε {event.epsilon:.4g} so far"
        case journal.PrivacySpent():
            return "warning", f"the privacy budget is spent: {event.reason}"
        case journal.Unseeded():
            return "warning", f"no seed for epoch {event.epoch}: {event.reason}"
        case _:
            return _of_operation(event)


def _of_operation(event: journal.Event) -> tuple[Level, str]:
    match event:
        case journal.Paused():
            return "warning", f"paused before round {event.round} ({event.cause}): {event.reason}"
        case journal.Unpaused():
            return "info", f"goes on with round {event.round}: {event.reason}"
        case journal.ModuleChanged():
            level: Level = "warning" if event.status == "degraded" else "info"
            return level, f"{event.module} {event.status}{f': {event.reason}' if event.reason else ''}"
        case journal.Operated():
            target = f" {event.target}" if event.target else ""
            return "info", f"{event.actor} asked to {event.action}{target}: {event.reason}"
        case _:  # a kind that this file does not know yet is shown, not hidden
            return "info", event.type
