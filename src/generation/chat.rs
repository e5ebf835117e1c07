//! The chat format of Baichuan 2, the same for both sizes.
//!
//! A conversation is `system`, then for each message the token 195 (user) or 196 (assistant) and the message's ids, and a trailing 196 that asks for
//! an answer. There is no `<s>`. Shipped: `build_chat_input` in `generation_utils.py`.
//!
//! Where the conversation does not fit, whole rounds are left out, the oldest first; a round is a user's message and what follows it. The latest
//! round stays however long it is, and is then cut from the left.

use std::borrow::Borrow;
use thiserror::Error;

/// Starts a user's message.
pub const USER: u32 = 195;
/// Starts an assistant's message.
pub const ASSISTANT: u32 = 196;

/// Names for ids 3 to 196 of a tokenizer of one's own, so that the chat tokens have the ids and the names of the real one:
/// `<reserved_106>` (user) is 195, `<reserved_107>` (assistant) 196.
///
/// ```
/// let symbols = baichuan2::generation::chat::symbols();
/// assert_eq!((symbols[195 - 3].as_str(), symbols[196 - 3].as_str()), ("<reserved_106>", "<reserved_107>"));
/// assert_eq!(symbols.len(), 194);
/// ```
pub fn symbols() -> Vec<String> {
    // The real ones before `<reserved_0>` are marks of its data.
    let reserved = |id: u32| match id.checked_sub(USER - 106) {
        Some(n) => format!("<reserved_{n}>"),
        None => format!("<unused_{id}>"),
    };
    (3..=ASSISTANT).map(reserved).collect()
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sets the scene; may only be first.
    System,
    /// Asks.
    User,
    /// Answers.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// A conversation that has no ids.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ChatError {
    /// Nothing was said.
    #[error("the conversation is empty; it needs a message at the least")]
    Empty,
    /// A system message in the middle.
    #[error("message {0} is of the system; only the first may be")]
    SystemNotFirst(usize),
    /// No room for a prompt.
    #[error(
        "an answer of {max_new_tokens} tokens (--max-new-tokens) leaves no room for a prompt in a context of {context}"
    )]
    NoRoom {
        /// Tokens that the answer may have.
        max_new_tokens: usize,
        /// Tokens that prompt and answer may have together.
        context: usize,
    },
}

/// How conversations become ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatFormat {
    /// Starts a user's message.
    pub user: u32,
    /// Starts an assistant's message.
    pub assistant: u32,
}

impl Default for ChatFormat {
    fn default() -> Self {
        ChatFormat {
            user: USER,
            assistant: ASSISTANT,
        }
    }
}

impl ChatFormat {
    /// The ids of a conversation, so that `max_new_tokens` of `context` stay free for the answer.
    ///
    /// ```
    /// use baichuan2::generation::chat::{ChatFormat, Message, Role};
    /// let messages = [Message { role: Role::User, content: "hi".into() }];
    /// let letters = |text: &str| text.bytes().map(u32::from).collect();
    /// let ids = ChatFormat::default().ids(&messages, letters, 4096, 2048)?;
    /// assert_eq!(ids, [195, 104, 105, 196]);
    /// # Ok::<(), baichuan2::generation::chat::ChatError>(())
    /// ```
    ///
    /// # Errors
    /// An empty conversation, a system message that is not the first, or no room for a prompt.
    pub fn ids(
        &self,
        messages: &[impl Borrow<Message>],
        encode: impl Fn(&str) -> Vec<u32>,
        context: usize,
        max_new_tokens: usize,
    ) -> Result<Vec<u32>, ChatError> {
        let room = context.saturating_sub(max_new_tokens);
        if room == 0 {
            return Err(ChatError::NoRoom {
                max_new_tokens,
                context,
            });
        }
        let messages: Vec<&Message> = messages.iter().map(Borrow::borrow).collect();
        let (system, said) = match messages.as_slice() {
            [] => return Err(ChatError::Empty),
            [first, rest @ ..] if first.role == Role::System => (encode(&first.content), rest),
            all => (Vec::new(), all),
        };
        if let Some(at) = said.iter().position(|m| m.role == Role::System) {
            return Err(ChatError::SystemNotFirst(at + messages.len() - said.len()));
        }
        let history = self.latest_rounds(said, encode, room.saturating_sub(system.len()));
        let mut ids = [system, history].concat();
        if messages.last().is_some_and(|m| m.role != Role::Assistant) {
            ids.push(self.assistant);
        }
        Ok(ids.split_off(ids.len().saturating_sub(room)))
    }

    /// As many of the latest rounds as fit, one at the least.
    fn latest_rounds(
        &self,
        said: &[&Message],
        encode: impl Fn(&str) -> Vec<u32>,
        room: usize,
    ) -> Vec<u32> {
        let mut history: Vec<u32> = Vec::new();
        let mut end = said.len();
        while end > 0 && (history.is_empty() || history.len() < room) {
            let start = said[..end]
                .iter()
                .rposition(|m| m.role == Role::User)
                .unwrap_or(0);
            let mut round = Vec::new();
            for message in &said[start..end] {
                round.push(if message.role == Role::User {
                    self.user
                } else {
                    self.assistant
                });
                round.extend(encode(&message.content));
            }
            if !history.is_empty() && history.len() + round.len() > room {
                break;
            }
            round.append(&mut history);
            history = round;
            end = start;
        }
        history
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: Role, content: &str) -> Message {
        Message {
            role,
            content: content.into(),
        }
    }

    fn letters(text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    /// Catches: a conversation of nothing but a system message, or an endless loop over it.
    #[test]
    fn edges() {
        let format = ChatFormat::default();
        let ids = |messages: &[Message], context, new| format.ids(messages, letters, context, new);
        assert_eq!(ids(&[], 10, 5), Err(ChatError::Empty));
        let system = message(Role::System, "s");
        assert_eq!(
            ids(std::slice::from_ref(&system), 10, 5),
            Ok(vec![115, 196])
        );
        let user = message(Role::User, "abcdef");
        assert_eq!(
            ids(&[user.clone(), system.clone()], 10, 5),
            Err(ChatError::SystemNotFirst(1))
        );
        assert_eq!(
            ids(std::slice::from_ref(&user), 10, 10),
            Err(ChatError::NoRoom {
                max_new_tokens: 10,
                context: 10
            })
        );
        // Too long even alone: cut from the left, as shipped.
        assert_eq!(ids(&[user], 10, 7), Ok(vec![101, 102, 196]));
    }

    /// Catches: the oldest round kept in place of the latest; half a round kept.
    #[test]
    fn whole_rounds_are_left_out_oldest_first() {
        let said = [
            message(Role::User, "a"),
            message(Role::Assistant, "b"),
            message(Role::User, "c"),
            message(Role::Assistant, "d"),
            message(Role::User, "e"),
        ];
        let ids = |room: usize| {
            ChatFormat::default()
                .ids(&said, letters, room + 1, 1)
                .unwrap()
        };
        let latest = [195, 101, 196];
        assert_eq!(ids(5), latest);
        assert_eq!(
            ids(6),
            [&[195, 99, 196, 100], &latest[..]].concat()[1..],
            "the trailing 196 is not counted, as shipped"
        );
        assert_eq!(ids(7), [&[195, 99, 196, 100], &latest[..]].concat());
        assert_eq!(ids(100).len(), 11);
    }

    /// Catches: the place of a message counted without the system's before it.
    #[test]
    fn a_system_message_in_the_middle_is_named_by_its_place() {
        let roles = [Role::System, Role::User, Role::Assistant, Role::System];
        let said = roles.map(|role| message(role, "x"));
        let ids = ChatFormat::default().ids(&said, letters, 10, 5);
        assert_eq!(ids, Err(ChatError::SystemNotFirst(3)));
    }

    /// Catches: names that do not fall on the ids of the chat tokens.
    #[test]
    fn the_names_are_those_of_the_real_tokenizer() {
        let names = symbols();
        let of = |id: u32| names[id as usize - 3].as_str();
        assert_eq!(
            [of(USER), of(ASSISTANT)],
            ["<reserved_106>", "<reserved_107>"]
        );
        assert_eq!(
            [of(3), of(88), of(89)],
            ["<unused_3>", "<unused_88>", "<reserved_0>"]
        );
        assert_eq!(names.len(), 194);
    }
}
