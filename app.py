"""Creates the app and registers every slice's Blueprints; nothing else."""

from chalicelib.web.application import App

app = App(
    app_name="linli",
    routes=(
        "chalicelib.web.routes",
        "chalicelib.identity.routes",
        "chalicelib.identity.belongings.routes",
        "chalicelib.uploads.routes",
        "chalicelib.catalog.routes",
        "chalicelib.booking.routes",
        "chalicelib.orders.checkout",
        "chalicelib.orders.routes",
        "chalicelib.orders.webhooks",
        "chalicelib.fulfilment.routes",
        "chalicelib.reviews.routes",
        "chalicelib.search.routes",
        "chalicelib.settlement.routes",
        "chalicelib.reconciliation.routes",
    ),
    handlers=(
        "chalicelib.booking.handlers",
        "chalicelib.insights.handlers",
        "chalicelib.notifications.handlers",
        "chalicelib.orders.handlers",
        "chalicelib.reconciliation.handlers",
        "chalicelib.reviews.handlers",
        "chalicelib.runtime.audit_handlers",
        "chalicelib.runtime.handlers",
        "chalicelib.search.handlers",
        "chalicelib.settlement.handlers",
    ),
)
