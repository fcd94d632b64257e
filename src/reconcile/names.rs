//! Names: what the cloud made of those that an order asked for.

use super::Reconciler;
use crate::journal::JournalError;
use crate::model::Server;

impl Reconciler {
    /// Writes down what the cloud's list calls a server.
    pub(super) fn learn_name(&mut self, server: &Server) -> Result<(), JournalError> {
        self.hold_to_its_name(server);
        self.books.name(&server.id, &server.name)
    }

    /// The cloud's list says what a server is called, whatever the order asked for: OBS knows it by that.
    fn hold_to_its_name(&mut self, server: &Server) {
        let orders = &self.books.ledger().orders;
        let order = server.tags.order.as_ref().and_then(|id| orders.get(id));
        let Some((order, names)) = order.and_then(|o| Some((o, o.names.as_ref()?))) else {
            return;
        };
        if !names.names(order.count).any(|name| name == server.name) {
            let asked = names.asked(order.count);
            let words = format!(
                "server {}: the cloud calls it {}, and {asked} was asked for",
                server.id, server.name
            );
            self.seen.odd(words);
        }
    }
}
