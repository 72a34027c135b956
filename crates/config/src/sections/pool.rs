//! `[pool]`: who we are.

use crate::net::{is_host_name, is_label};
use crate::reader::Reader;

/// Who we are.
#[derive(Clone, Debug)]
pub struct Pool {
    /// `pool.fqdn` (`localhost`): the name clients and partners reach the pool by. It is in the certificate of the
    /// development authority and in addresses this server makes.
    pub fqdn: String,
    /// `pool.domains` (`["example.test"]`): the SIP domains accounts live in, lower case. The first is the realm of
    /// challenges.
    pub domains: Vec<String>,
    /// `pool.member` (`fe1`): this member's name, unique in the pool and the same after a restart.
    pub member: String,
}

impl Pool {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        let pool = Pool {
            fqdn: reader
                .get("pool.fqdn", "localhost".to_owned())
                .to_ascii_lowercase(),
            domains: reader.get("pool.domains", vec!["example.test".to_owned()]),
            member: reader.get("pool.member", "fe1".to_owned()),
        };
        if !is_host_name(&pool.fqdn) {
            reader.problem("pool.fqdn", format!("\"{}\" is not a host name", pool.fqdn));
        }
        if !is_label(&pool.member) {
            let message = format!("\"{}\" is not a name of letters, digits and hyphens", pool.member);
            reader.problem("pool.member", message);
        }
        pool.with_valid_domains(reader)
    }

    fn with_valid_domains(mut self, reader: &mut Reader) -> Self {
        let mut domains: Vec<String> = Vec::with_capacity(self.domains.len());
        for domain in &self.domains {
            let domain = domain.to_ascii_lowercase();
            if !is_host_name(&domain) {
                reader.problem("pool.domains", format!("\"{domain}\" is not a domain"));
            } else if domains.contains(&domain) {
                reader.problem("pool.domains", format!("{domain} is there twice"));
            } else {
                domains.push(domain);
            }
        }
        if self.domains.is_empty() {
            reader.problem("pool.domains", "at least one SIP domain is needed");
        }
        self.domains = domains;
        self
    }
}
