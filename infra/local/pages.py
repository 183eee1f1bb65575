"""The HTML of the local tools: self-contained, readable on a phone, in Chinese and English side by side."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import quote

from chalicelib.providers.sms.local import Message
from infra.local.answers import Answer
from infra.local.stripe_control import LocalIntent

_NO_MINOR_UNIT = {"JPY", "KRW", "VND"}
_OUTCOME_LABELS = {
    "succeed": ("支付成功", "Pay"),
    "decline": ("拒付", "Decline"),
    "delay": ("延迟通知", "Delay the news"),
    "duplicate": ("重复通知", "Send the news twice"),
    "shuffle": ("乱序通知", "News out of order"),
    "lose": ("丢失通知", "Lose the news"),
    "late": ("超时后到账", "Pay too late"),
    "wrong_amount": ("金额不符", "Wrong amount"),
    "refund_fails": ("成功但退款失败", "Pay, refund will fail"),
    "dispute": ("成功后拒付争议", "Pay, then dispute"),
}
_STATUS_LABELS = {
    "requires_payment_method": "待支付 Awaiting payment",
    "requires_confirmation": "待支付 Awaiting payment",
    "requires_action": "待支付 Awaiting payment",
    "processing": "处理中 Processing",
    "succeeded": "已支付 Paid",
    "canceled": "已取消 Cancelled",
}
_ROLE_LABELS = {"consumer": "顾客 Consumer", "merchant owner": "店主 Merchant owner", "operator": "运营 Operator"}
_METHOD_LABELS = {"wechat_pay": "微信支付 WeChat Pay", "alipay": "支付宝 Alipay", "card": "银行卡 Card"}

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2320; --soft: #66706b; --line: #e2e6e3; --paper: #f5f7f5; --card: #fff;
  --brand: #0a7a55; --on-brand: #fff; --bad: #b3382c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecea; --soft: #9aa59f; --line: #303733; --paper: #141816;
  --card: #1d2320; --brand: #3fbf92; --on-brand: #06140e; --bad: #f0857a; } }
* { box-sizing: border-box; margin: 0; }
body { font: 16px/1.5 system-ui, -apple-system, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  color: var(--ink); background: var(--paper); }
main { max-width: 40rem; margin: 0 auto; padding: 1.25rem 1rem 3rem; }
header { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem; margin-bottom: 1.25rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin: 1.75rem 0 .6rem; }
a { color: var(--brand); text-decoration: none; } a:hover { text-decoration: underline; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1rem; }
.card + .card { margin-top: .75rem; }
.row { display: flex; justify-content: space-between; align-items: center; gap: 1rem; padding: .6rem 0; }
.row + .row { border-top: 1px solid var(--line); }
.soft { color: var(--soft); font-size: .85rem; } .wrap { overflow-wrap: anywhere; }
.amount { font-size: 2.25rem; font-weight: 650; letter-spacing: -.02em; text-align: center; padding: .5rem 0; }
.code { font: 600 .95em ui-monospace, monospace; }
.grid { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem; margin-top: .6rem; }
button, input { font: inherit; color: inherit; border-radius: 10px; border: 1px solid var(--line); padding: .6rem .9rem;
  background: var(--card); min-height: 44px; }
button { cursor: pointer; line-height: 1.25; } button small { display: block; color: var(--soft); font-size: .75rem; }
button:hover, button:focus-visible { border-color: var(--brand); } button:disabled { opacity: .5; cursor: default; }
button.main { background: var(--brand); border-color: var(--brand); color: var(--on-brand); width: 100%;
  font-weight: 600; margin-top: 1rem; } button.main small { color: inherit; opacity: .85; }
button.bad { color: var(--bad); }
.grid button:last-child:nth-child(odd) { grid-column: 1 / -1; }
form { display: flex; gap: .5rem; } form input { flex: 1; min-width: 0; }
.note { margin: .6rem 0 .9rem; }
output { display: block; min-height: 1.5em; margin-top: .75rem; overflow-wrap: anywhere; }
"""

# Every button that posts says where and what in data attributes; the answer is shown, then the page read again.
_SCRIPT = """
const said = document.querySelector('output');
for (const button of document.querySelectorAll('button[data-post]')) {
  button.addEventListener('click', async () => {
    button.disabled = true;
    said.textContent = '…';
    try {
      const answer = await fetch(button.dataset.post, {
        method: 'POST', headers: {'Content-Type': 'application/json'}, body: button.dataset.body || '{}'});
      const text = await answer.json();
      said.textContent = answer.ok
        ? (button.dataset.done || JSON.stringify(text))
        : (text.errors?.[0]?.message || text.detail);
      if (answer.ok && button.dataset.reload) setTimeout(() => location.reload(), 900);
    } catch (error) { said.textContent = String(error); }
    button.disabled = false;
  });
}
const seconds = document.querySelector('main').dataset.refresh;
if (seconds) setInterval(() => {
  if (document.activeElement.tagName !== 'INPUT') location.reload();
}, seconds * 1000);
"""


def index(schedules: Mapping[str, str], accounts: Mapping[str, str], now: str, offset_seconds: int) -> Answer:
    """Return the page of all local tools; `schedules` maps names to expressions, `accounts` roles to phones, `now` is
    the local clock's instant."""
    people = "".join(
        f'<div class="row"><a href="/local/sms?phone={quote(phone)}">{escape(phone)}</a>'
        f'<span class="soft">{escape(_ROLE_LABELS.get(role, role))}</span></div>'
        for role, phone in accounts.items()
    )
    links = "".join(
        f'<div class="row"><a href="{path}">{label}</a><span class="soft">{path}</span></div>'
        for path, label in (
            ("/docs", "接口文档 API documentation"),
            ("/local/sms", "短信收件箱 SMS inbox"),
            ("/local/usage", "用量 What has been used"),
            ("/v1/openapi.json", "OpenAPI 3.1"),
            ("/healthz", "健康检查 Health"),
        )
    )
    steps = "".join(
        f'<button data-post="/local/clock" data-body=\'{{"advance_seconds": {seconds}}}\' data-reload="1">'
        f"+ {chinese}<small>{english}</small></button>"
        for seconds, chinese, english in (
            (900, "15 分钟", "15 minutes"),
            (3600, "1 小时", "1 hour"),
            (86400, "1 天", "1 day"),
            (604800, "7 天", "7 days"),
        )
    )
    rows = "".join(
        f'<div class="row"><div class="wrap"><span class="code">{escape(name)}</span>'
        f'<div class="soft">{escape(expression)}</div></div>'
        f'<button data-post="/local/schedules/{escape(name)}/run">运行 Run</button></div>'
        for name, expression in schedules.items()
    )
    body = f"""
<section class="card">{links}</section>
<h2>演示账号 Demo accounts</h2>
<section class="card">{people}</section>
<p class="soft note">登录验证码在短信收件箱里，其他手机号首次登录即注册 ·
Sign-in codes are in the SMS inbox; any other phone signs up.</p>
<h2>时钟 Clock</h2>
<section class="card"><div>{escape(now)}</div>
<div class="soft">{escape(ahead_text(offset_seconds))}</div>
<div class="grid">{steps}</div></section>
<h2>定时任务 Schedules</h2>
<section class="card">{rows or '<p class="soft">没有定时任务 None</p>'}</section>
<output aria-live="polite"></output>"""
    return _page("本机工具 Local tools", body, home=False)


def sms(phone: str | None, messages: Iterable[Message]) -> Answer:
    """Return the inbox, of one phone or of all; it reads itself again every three seconds."""
    cards = "".join(
        f'<article class="card"><div class="row"><strong>{escape(message["to"])}</strong>'
        f'<span class="soft">{escape(message["sent_at"])}</span></div>'
        f'<p class="wrap">{escape(message["text"])}</p><p class="soft code">{escape(message["template"])}</p></article>'
        for message in messages
    )
    body = f"""
<form method="get" action="/local/sms"><input name="phone" type="tel" placeholder="+86138…" aria-label="手机号 Phone"
value="{escape(phone or "")}"><button>筛选 Filter</button></form>
<p class="soft note">每 3 秒自动刷新 · refreshes every 3 seconds</p>
{cards or '<p class="card soft">还没有短信 No messages yet</p>'}"""
    return _page("短信收件箱 SMS inbox", body, refresh_seconds=3)


def pay(attempt_id: str, intent: LocalIntent) -> Answer:
    """Return the payment page of an attempt: what is to be paid, and a button for each thing that may still happen."""
    post = f"/local/pay/{escape(attempt_id)}"

    def button(outcome: str) -> str:
        chinese, english = _OUTCOME_LABELS[outcome]
        kind = {"succeed": "main", "decline": "bad"}.get(outcome, "")
        return (
            f'<button class="{kind}" data-post="{post}" data-body=\'{{"outcome": "{outcome}"}}\' data-reload="1" '
            f'data-done="好的 Done">{chinese}<small>{english}</small></button>'
        )

    outcomes = intent["outcomes"]
    first = button("succeed") if "succeed" in outcomes else ""
    others = "".join(button(outcome) for outcome in outcomes if outcome != "succeed")
    more = f'<h2>别的结果 Other outcomes</h2><div class="grid">{others}</div>' if others else ""
    facts = {
        "方式 Method": _METHOD_LABELS.get(intent.get("method") or "", intent.get("method") or "—"),
        "状态 Status": _STATUS_LABELS.get(intent["status"], intent["status"]),
        "尝试 Attempt": attempt_id,
        "支付单 Intent": intent["id"],
    }
    rows = "".join(
        f'<div class="row"><span class="soft">{name}</span><span class="wrap">{escape(value)}</span></div>'
        for name, value in facts.items()
    )
    body = f"""
<section class="card"><div class="amount">{escape(money_text(intent["amount"], intent["currency"]))}</div>{rows}
{first}</section>
{more}
<output aria-live="polite"></output>"""
    return _page("收银台 Checkout", body)


def ahead_text(seconds: int) -> str:
    """Say by how much the local clock is ahead.

    >>> ahead_text(0)
    '与真实时间一致 · the real time'
    >>> ahead_text(93_784)
    '比真实时间快 1 天 02:03:04 · 1 d 02:03:04 ahead of the real time'
    """
    if seconds == 0:
        return "与真实时间一致 · the real time"
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d}"
    return f"比真实时间快 {days} 天 {clock} · {days} d {clock} ahead of the real time"


def money_text(amount_minor: int, currency: str) -> str:
    """Write an amount in minor units for people.

    >>> money_text(12800, "cny"), money_text(500, "jpy")
    ('¥128.00', '500 JPY')
    """
    code = currency.upper()
    whole, rest = divmod(amount_minor, 1 if code in _NO_MINOR_UNIT else 100)
    text = f"{whole:,}" if code in _NO_MINOR_UNIT else f"{whole:,}.{rest:02d}"
    return f"¥{text}" if code == "CNY" else f"{text} {code}"


def _page(title: str, body: str, *, home: bool = True, refresh_seconds: int | None = None) -> Answer:
    """Wrap `body` (already escaped) into a page that may run and load nothing but its own."""
    nonce = secrets.token_urlsafe(16)
    refresh = f' data-refresh="{refresh_seconds}"' if refresh_seconds else ""
    back = '<a href="/local">本机工具 Local tools</a>' if home else '<span class="soft">Linli 邻里</span>'
    html = f"""<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Linli 邻里</title><link rel="icon" href="data:,">
<style nonce="{nonce}">{_STYLE}</style></head>
<body><main{refresh}><header><h1>{title}</h1>{back}</header>{body}</main>
<script nonce="{nonce}">{_SCRIPT}</script></body></html>"""
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return Answer(200, html.encode(), headers)
