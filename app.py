"""Creates the app and registers every slice's Blueprints; nothing else."""

from chalice.app import Chalice

from chalicelib.booking import handlers as booking_jobs
from chalicelib.booking import routes as booking
from chalicelib.catalog import routes as catalog
from chalicelib.fulfilment import routes as fulfilment
from chalicelib.identity import routes as identity
from chalicelib.identity.belongings import routes as belongings
from chalicelib.notifications import handlers as notifications_jobs
from chalicelib.orders import handlers as orders_jobs
from chalicelib.orders import routes as orders
from chalicelib.reconciliation import handlers as reconciliation_jobs
from chalicelib.reconciliation import routes as reconciliation
from chalicelib.runtime import handlers as runtime_jobs
from chalicelib.search import routes as search
from chalicelib.settlement import handlers as settlement_jobs
from chalicelib.settlement import routes as settlement
from chalicelib.web import routes as web

app = Chalice(app_name="linli", configure_logs=False)
app.api.binary_types = []

for blueprint in (
    web.router.blueprint,
    identity.router.blueprint,
    belongings.router.blueprint,
    catalog.router.blueprint,
    booking.router.blueprint,
    booking_jobs.blueprint,
    orders.router.blueprint,
    orders_jobs.blueprint,
    fulfilment.router.blueprint,
    notifications_jobs.blueprint,
    runtime_jobs.blueprint,
    search.router.blueprint,
    settlement.router.blueprint,
    settlement_jobs.blueprint,
    reconciliation.router.blueprint,
    reconciliation_jobs.blueprint,
):
    app.register_blueprint(blueprint)
