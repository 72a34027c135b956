//! Scripts and calls of them.

use redis::{Cmd, ToRedisArgs};

/// A script, with the digest under which a server that has seen it knows it.
pub(crate) struct Script {
    code: String,
    digest: redis::Script,
}

impl Script {
    /// The text after some definitions that it shares with others.
    pub(crate) fn new(prelude: &str, text: &str) -> Self {
        let code = [prelude, text].concat();
        let digest = redis::Script::new(&code);
        Script { code, digest }
    }

    /// A call that names these keys, all in one slot.
    pub(crate) fn call(&self, keys: &[&str]) -> Call<'_> {
        let mut keys_and_args = Vec::new();
        for key in keys {
            key.write_redis_args(&mut keys_and_args);
        }
        Call {
            script: self,
            keys: keys.len(),
            keys_and_args,
        }
    }
}

/// One call of a script.
pub(crate) struct Call<'a> {
    script: &'a Script,
    keys: usize,
    keys_and_args: Vec<Vec<u8>>,
}

impl Call<'_> {
    /// Adds an argument.
    pub(crate) fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        arg.write_redis_args(&mut self.keys_and_args);
        self
    }

    /// The call by digest.
    pub(crate) fn by_digest(&self) -> Cmd {
        self.command("EVALSHA", self.script.digest.get_hash())
    }

    /// The call with the whole text, for a server that does not know the digest: it does afterwards. (Loading it instead
    /// would load it into every node of a cluster, also those that are away.)
    pub(crate) fn by_text(&self) -> Cmd {
        self.command("EVAL", &self.script.code)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys).arg(&self.keys_and_args);
        command
    }
}
