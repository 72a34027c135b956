//! What owners of conversations and front ends may rely on of each other is the same whichever way they are reached.
//!
//! | File | What |
//! |---|---|
//! | `probes` | an owner and a front end whose every answer is given by the test |
//! | `rig` | both, and each of the ways between them |
//! | `words` | one of everything they say, no field at its default |
//! | `owner` | the contract of `ImMcu` |
//! | `front_end` | the contract of `FrontEnd` |
//! | `anything` | the same for whatever can be said |
//! | `silence` | how long who never answers is waited for |

#![cfg(test)]

mod anything;
mod front_end;
mod owner;
mod probes;
mod rig;
mod silence;
mod words;

#[path = "../rig/mod.rs"]
mod members;

/// Runs each behaviour in every way.
#[macro_export]
macro_rules! every_way {
    ($($behaviour:ident,)+) => {
        $(mod $behaviour {
            use $crate::rig::{Rig, Road};

            #[tokio::test]
            async fn directly() {
                super::$behaviour(Rig::new(Road::Trait).await).await.end().await;
            }

            #[tokio::test]
            async fn through_a_router_in_the_same_process() {
                super::$behaviour(Rig::new(Road::SameProcess).await).await.end().await;
            }

            #[tokio::test]
            async fn through_the_codec() {
                super::$behaviour(Rig::new(Road::Codec).await).await.end().await;
            }

            #[tokio::test]
            async fn over_the_wire() {
                super::$behaviour(Rig::new(Road::Tcp).await).await.end().await;
            }

            #[tokio::test]
            async fn over_mutual_tls() {
                super::$behaviour(Rig::new(Road::Tls).await).await.end().await;
            }
        })+
    };
}
