//! Sites and SIP domains.

use async_trait::async_trait;
use topology::SiteId;

use crate::StoreError;

/// Keeps the names of sites and SIP domains, which accounts and policies refer to.
#[async_trait]
pub trait PlaceStore: Send + Sync + 'static {
    /// Adds a SIP domain (lower case). Harmless if it is there.
    async fn add_domain(&self, domain: &str) -> Result<(), StoreError>;

    /// All SIP domains ever added, in order.
    async fn domains(&self) -> Result<Vec<String>, StoreError>;

    /// All sites that were ever named by an account or a policy, in order.
    async fn sites(&self) -> Result<Vec<SiteId>, StoreError>;
}
