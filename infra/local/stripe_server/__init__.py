"""A small local server that speaks the part of Stripe's API this product uses, and refuses what Stripe refuses.

    python -m infra.local.stripe_server --port 8400 --db .linli/stripe.db --secret-key sk_test_local \\
        --webhook-url http://127.0.0.1:8000/v1/webhooks/stripe --webhook-secret whsec_local --clock-file .linli/clock

Under `/v1`: payment_intents (with confirm, capture, cancel, search), refunds, charges, balance, balance_transactions,
events, webhook_endpoints. A parameter that Stripe has and this server has not is refused with the code
`local_server_unsupported`, never ignored.

Under `/local`, JSON, not Stripe's: `POST payment_intents/{id} {"outcome", "seconds"?}` lets the payer's side act (see
`control.OUTCOMES`); `GET payment_intents/{id}`; `GET payment_intents?metadata_key=&metadata_value=`; `POST` and
`DELETE balance_transactions/{id}` falsify the provider's book on purpose; `GET health`.

`engine.StripeEngine` is all of the behaviour as one object; `server`, `delivery.Sender` and `__main__` put sockets,
threads and a process around it, and `inprocess.EngineClient` puts the SDK on it without any of them.
"""
