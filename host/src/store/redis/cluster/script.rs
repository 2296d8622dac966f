//! A script and its call. The redis crate has its own; on a script that isn't there, that one is sent to every master of a
//! cluster and must be accepted by all, while this one goes to where the keys are.

use redis::{Cmd, ToRedisArgs, cmd};

/// A script, known by its hash.
pub(super) struct Script {
    code: &'static str,
    hash: String,
}

/// A script with its keys and arguments.
pub(super) struct Invocation<'s> {
    script: &'s Script,
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
}

impl Script {
    pub(super) fn new(code: &'static str) -> Self {
        Self { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }

    /// A call of it that has one key so far.
    pub(super) fn key(&self, key: String) -> Invocation<'_> {
        Invocation { script: self, keys: key.to_redis_args(), args: Vec::new() }
    }
}

impl Invocation<'_> {
    /// One more key. All of a call are in one slot, and none that the script uses is left out: while a slot is moved,
    /// a key that wasn't named would be missed half way.
    pub(super) fn key(&mut self, key: String) -> &mut Self {
        key.write_redis_args(&mut self.keys);
        self
    }

    pub(super) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        arg.write_redis_args(&mut self.args);
        self
    }

    /// The call for a server that has the script.
    pub(super) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    /// The call with the script.
    pub(super) fn whole(&self) -> Cmd {
        self.command("EVAL", self.script.code)
    }

    /// How many words the server is sent.
    pub(super) fn words(&self) -> usize {
        3 + self.keys.len() + self.args.len()
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys[..]).arg(&self.args[..]);
        command
    }
}
