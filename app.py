"""Creates the app and registers every slice's Blueprints; nothing else."""

from chalice import Chalice

from chalicelib.catalog import routes as catalog
from chalicelib.identity import routes as identity
from chalicelib.web import routes as web

app = Chalice(app_name="linli")
app.api.binary_types = []

for blueprint in (
    web.router.blueprint,
    identity.router.blueprint,
    catalog.router.blueprint,
):
    app.register_blueprint(blueprint)
