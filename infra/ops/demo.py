"""`make demo`: the whole story over HTTP against a running `make start`, each step told and checked.

It moves the local clock on by about five days, and what it tampers with it restores: it can be played again and again.
The last line it prints is JSON. Its exit status is 0 when every step went as it must.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from typing import Any

from rich.console import Console
from rich.markup import escape

from infra.ops import demo_acts as acts
from infra.ops import demo_local
from infra.ops.demo_stage import DemoFailed, Stage, yuan


def play(stage: Stage) -> dict[str, Any]:
    """The story; returns its figures. Raises DemoFailed."""
    cast = acts.sign_in(stage)
    acts.search(cast)
    acts.look(cast)
    visit = acts.book(cast)
    stage.step("支付宝付款", "Paid with Alipay; the provider's webhook confirms")
    visit = acts.pay(cast, visit, "alipay")
    acts.serve(cast, visit)
    stage.step("订单账目", "The proof: the order's books agree with the provider's facts")
    proofs = [acts.prove(cast, visit["id"])]
    acts.settle(cast, visit)

    stage.step("再约两次", "Two more bookings: one by WeChat Pay, one by card")
    regretted, _ = acts.place(cast, acts.free_start(cast)["starts_at"])
    regretted = acts.pay(cast, regretted, "wechat_pay")
    kept, _ = acts.place(cast, acts.free_start(cast)["starts_at"])
    kept = acts.pay(cast, kept, "card")
    acts.cancel(cast, regretted)
    proofs += [acts.prove(cast, order["id"]) for order in (regretted, kept)]

    acts.reconcile(cast)
    lines = acts.damage(cast, kept, regretted)
    try:
        acts.find_damage(cast, kept, regretted)
    except DemoFailed:
        acts.restore(cast, lines)
        raise
    acts.repair(cast, lines, kept, regretted)
    return {
        "orders": len(proofs),
        "proofs_hold": sum(proof["holds"] for proof in proofs),
        "ledger_entries": sum(len(proof["entries"]) for proof in proofs),
        "differences_found": len(lines),
        "differences_open": len(acts.open_differences(cast)),
        **cast.figures,
    }


def main() -> int:
    """Play the demo; return the exit status."""
    console = Console(highlight=False, soft_wrap=True)
    started = time.monotonic()
    stage: Stage | None = None
    try:
        stage = demo_local.find(os.environ, console)
        figures = play(stage)
    except DemoFailed as failure:
        return _failed(console, stage, str(failure), failure.document)
    except (OSError, http.client.HTTPException) as error:
        return _failed(console, stage, f"the stack does not answer: {type(error).__name__}: {error}", None)
    figures |= {"http_calls": stage.http.calls, "seconds": round(time.monotonic() - started, 1)}
    console.print(f"\n[bold]{escape(_summary(figures))}[/]\n")
    print(json.dumps({"demo": "ok", **figures}))
    return 0


def _summary(figures: dict[str, Any]) -> str:
    return (
        f"邻里 Linli: found, booked, paid, enjoyed. {figures['orders']} orders in {figures['seconds']} s and "
        f"{figures['http_calls']} calls; {figures['proofs_hold']} of {figures['orders']} proofs hold over "
        f"{figures['ledger_entries']} ledger entries. Of {yuan(figures['gross_minor'])} the merchant's share is "
        f"{yuan(figures['net_minor'])}, on a statement and available. The provider's book was falsified in "
        f"{figures['differences_found']} places; the reconciliation found each, and after the correction "
        f"{figures['differences_open']} differences are open."
    )


def _failed(console: Console, stage: Stage | None, message: str, document: Any) -> int:
    where = f"step “{stage.heading}”" if stage and stage.heading else "the demo"
    console.print(f"\n[bold red]✗ {escape(where)} failed:[/] {escape(message)}")
    if document is not None:
        console.print(escape(json.dumps(document, ensure_ascii=False, indent=2)[:4000]))
    print(json.dumps({"demo": "failed", "step": stage.heading if stage else "", "message": message}))
    return 1


if __name__ == "__main__":
    sys.exit(main())
