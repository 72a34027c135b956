//! What happens when a part of a pool dies, hangs or loses its memory, while people talk.
//!
//! Only in a pool: these run with the profile `pool` of the test runner. Amy is signed in at `fe1` and Bea at `fe2`. Most
//! tests let both write numbered messages without a break (`talk`), break something, wait until it has been overcome, and
//! look at what was answered and what was heard.

mod front_ends;
mod owners;
mod paused;
mod presence;
mod redis;
mod registrars;
mod seed;
mod talk;

use anyhow::{Context, Result, ensure};
use test_support::{Puppet, Sandbox};

use super::status;

/// The owner of the conversation of these two, by the messages it has counted, and the other one.
async fn owner_of(pool: &Sandbox) -> Result<(&'static str, &'static str)> {
    let mut counts = Vec::new();
    for member in pool
        .members()
        .iter()
        .filter(|member| member.role() == Some("immcu"))
    {
        counts.push((
            member.name(),
            member.metric("portico_im_messages_total", &[]).await?,
        ));
    }
    let owners: Vec<_> = counts.iter().filter(|(_, count)| *count > 0.0).collect();
    ensure!(owners.len() == 1, "not one owner: {counts:?}");
    let (owner, _) = owners.first().context("an owner")?;
    Ok(match *owner {
        "im1" => ("im1", "im2"),
        _ => ("im2", "im1"),
    })
}

/// One text, answered 200 after it was received.
async fn exchange(from: &mut Puppet, to: &mut Puppet, text: &str) -> Result<()> {
    let message = from.text(&to.uri(), text);
    from.send(&message).await?;
    to.receive(text).await?;
    status(&from.answer_to(&message).await?, 200)
}
