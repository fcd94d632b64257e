//! What is remembered of a server that is gone.

use super::{HostName, ServerId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A server that an order bought and that is gone, or never came to be, until it is certain that it left
/// nothing behind: a failed creation may leave a volume or a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// The server.
    pub server: ServerId,
    /// The names that it may have had: of one that was never listed, all those of its order that no other
    /// server of it was seen to have.
    pub names: Vec<HostName>,
    /// When it was ordered: what is older is not of its making.
    pub ordered: Timestamp,
    /// When it was found to be gone: what is younger is not of its making either.
    pub gone: Timestamp,
}
