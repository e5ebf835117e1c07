//! Conversations from a file, and what of them is to be learned.
//!
//! Shipped: `SupervisedDataset` in the Baichuan 2 repository's `fine-tune/fine-tune.py`. The file is a JSON array (as there) or JSON lines of objects
//!
//! ```json
//! {"conversations": [{"from": "human", "value": "你好"}, {"from": "gpt", "value": "你好！"}]}
//! ```
//!
//! # Which tokens count
//!
//! A conversation becomes the ids that [`ChatFormat`] gives it when it is held: the system's text, then for each message the token of who speaks
//! and the message; at the very end `</s>`. Each id is there to predict the next one, and what counts is
//!
//! | what stands there | what is to follow | counts |
//! |---|---|---|
//! | the system's text, the user's token and text | what stands next | no |
//! | the user's last token | the assistant's token | no |
//! | the assistant's token and text | the answer, token by token | yes |
//! | the last token of an answer | `</s>`, although the user's token stands next where another round follows | yes |
//!
//! So an answer learns to end itself, and no `</s>` ever stands in the midst of a conversation, as none does when it is held.

use crate::generation::chat::{ChatFormat, Message, Role};
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

/// One conversation of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The line that it begins on, from 1.
    pub line: usize,
    /// At least one of them is the assistant's; none is empty; only the first may be the system's.
    pub messages: Vec<Message>,
}

/// A file that holds no conversations to learn from.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConversationsError {
    /// Not JSON, or not a conversation.
    #[error(
        "line {line}, column {column}: {reason}; a conversation is \
         {{\"conversations\": [{{\"from\": \"human\", \"value\": \"…\"}}, {{\"from\": \"gpt\", \"value\": \"…\"}}]}}, one a line or all in a JSON array"
    )]
    Json {
        /// The line, from 1.
        line: usize,
        /// The byte of the line, from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// An empty file, or an empty array.
    #[error("there is no conversation in it")]
    Nothing,
    /// An empty list of messages.
    #[error("line {0}: the conversation has no messages")]
    NoMessages(usize),
    /// A speaker that is not known.
    #[error(
        "line {line}: message {message} is from `{from}`; known are human or user, gpt or assistant, and system"
    )]
    UnknownRole {
        /// The line that the conversation begins on.
        line: usize,
        /// The message, from 1.
        message: usize,
        /// Who is said to speak.
        from: String,
    },
    /// A message without text.
    #[error("line {line}: message {message} is empty; leave out the conversation or the message")]
    EmptyMessage {
        /// The line that the conversation begins on.
        line: usize,
        /// The message, from 1.
        message: usize,
    },
    /// A system message in the middle.
    #[error("line {line}: message {message} is the system's; only the first may be")]
    SystemNotFirst {
        /// The line that the conversation begins on.
        line: usize,
        /// The message, from 1.
        message: usize,
    },
    /// A conversation that nothing is learned from.
    #[error(
        "line {0}: no message is the assistant's (from `gpt` or `assistant`), so there is nothing to learn"
    )]
    NoAnswer(usize),
}

#[derive(Deserialize)]
struct Record {
    conversations: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    from: String,
    value: String,
}

/// The conversations of a file's text: a JSON array, or one object a line.
///
/// ```
/// use baichuan2::training::finetune::read_conversations;
/// let text = r#"{"conversations": [{"from": "human", "value": "1+1=?"}, {"from": "gpt", "value": "2"}]}"#;
/// assert_eq!(read_conversations(text)?[0].messages[1].content, "2");
/// let error = read_conversations("{\"conversations\": []}").unwrap_err();
/// assert_eq!(error.to_string(), "line 1: the conversation has no messages");
/// # Ok::<(), baichuan2::training::finetune::ConversationsError>(())
/// ```
///
/// # Errors
/// See [`ConversationsError`]; the first is told, with its line.
pub fn read_conversations(text: &str) -> Result<Vec<Conversation>, ConversationsError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let conversations: Vec<Conversation> = if text.trim_start().starts_with('[') {
        let records: Vec<&RawValue> = parse(text, Start { line: 1, column: 0 })?;
        let (mut line, mut seen) = (1, 0);
        let read = |record: &RawValue| {
            // The record is a part of the text.
            let at = record.get().as_ptr().addr() - text.as_ptr().addr();
            line += text[seen..at].matches('\n').count();
            seen = at;
            let column = at - text[..at].rfind('\n').map_or(0, |newline| newline + 1);
            conversation(record.get(), Start { line, column })
        };
        records.into_iter().map(read).collect::<Result<_, _>>()?
    } else {
        let lines = text.lines().zip(1..);
        lines
            .filter(|(record, _)| !record.trim().is_empty())
            .map(|(record, line)| conversation(record, Start { line, column: 0 }))
            .collect::<Result<_, _>>()?
    };
    if conversations.is_empty() {
        return Err(ConversationsError::Nothing);
    }
    Ok(conversations)
}

/// Where a part of a file begins: its line, from 1, and the bytes of that line before it.
#[derive(Clone, Copy)]
struct Start {
    line: usize,
    column: usize,
}

fn parse<'t, T: Deserialize<'t>>(text: &'t str, start: Start) -> Result<T, ConversationsError> {
    serde_json::from_str(text).map_err(|error| {
        let reason = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let before = if error.line() > 1 { 0 } else { start.column };
        ConversationsError::Json {
            line: start.line + error.line().saturating_sub(1),
            column: before + error.column(),
            reason: reason.strip_suffix(&place).unwrap_or(&reason).to_owned(),
        }
    })
}

fn conversation(record: &str, start: Start) -> Result<Conversation, ConversationsError> {
    let record: Record = parse(record, start)?;
    let line = start.line;
    if record.conversations.is_empty() {
        return Err(ConversationsError::NoMessages(line));
    }
    let message = |(turn, message): (Turn, usize)| {
        let role = match turn.from.trim().to_ascii_lowercase().as_str() {
            "human" | "user" => Role::User,
            "gpt" | "chatgpt" | "assistant" => Role::Assistant,
            "system" if message == 1 => Role::System,
            "system" => return Err(ConversationsError::SystemNotFirst { line, message }),
            _ => {
                return Err(ConversationsError::UnknownRole {
                    line,
                    message,
                    from: turn.from,
                });
            }
        };
        if turn.value.is_empty() {
            return Err(ConversationsError::EmptyMessage { line, message });
        }
        Ok(Message {
            role,
            content: turn.value,
        })
    };
    let turns = record.conversations.into_iter().zip(1..);
    let messages: Vec<Message> = turns.map(message).collect::<Result<_, _>>()?;
    if messages.iter().all(|m| m.role != Role::Assistant) {
        return Err(ConversationsError::NoAnswer(line));
    }
    Ok(Conversation { line, messages })
}

/// A conversation as the trainer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Token ids.
    pub ids: Vec<u32>,
    /// What is to follow each of them; none where that does not count.
    pub targets: Vec<Option<u32>>,
    /// Whether the conversation was longer than the context.
    pub cut: bool,
}

impl Example {
    /// The ids of a conversation and what counts of them: see the module. Of more than `context` ids the first are kept, as shipped.
    /// Nothing where no target is left.
    ///
    /// ```
    /// use baichuan2::{generation::chat::{ChatFormat, Message, Role}, training::finetune::Example};
    /// let said = |role, content: &str| Message { role, content: content.into() };
    /// let messages = [said(Role::User, "a"), said(Role::Assistant, "bc"), said(Role::User, "d"), said(Role::Assistant, "e")];
    /// let letters = |text: &str| text.bytes().map(u32::from).collect();
    /// let (format, eos) = (ChatFormat::default(), 2);
    /// let example = Example::of(&messages, &format, eos, letters, 4096).expect("an answer");
    /// assert_eq!(example.ids, [195, 97, 196, 98, 99, 195, 100, 196, 101]);
    /// assert_eq!(example.targets, [None, None, Some(98), Some(99), Some(2), None, None, Some(101), Some(2)]);
    /// ```
    pub fn of(
        messages: &[Message],
        format: &ChatFormat,
        eos: u32,
        encode: impl Fn(&str) -> Vec<u32>,
        context: usize,
    ) -> Option<Self> {
        // What stands at each place, and what is to be predicted there.
        let mut said: Vec<(u32, Option<u32>)> = Vec::new();
        let mut answered = false;
        for message in messages {
            let text = encode(&message.content).into_iter();
            match message.role {
                Role::System => said.extend(text.map(|id| (id, None))),
                Role::User => {
                    said.push((format.user, answered.then_some(eos)));
                    said.extend(text.map(|id| (id, None)));
                }
                Role::Assistant => {
                    said.push((format.assistant, None));
                    said.extend(text.map(|id| (id, Some(id))));
                }
            }
            answered = message.role == Role::Assistant;
        }
        if answered {
            said.push((eos, Some(eos)));
        }
        let cut = said.len() > context;
        said.truncate(context);
        // What is behind the last target teaches nothing.
        let last = said.iter().rposition(|(_, target)| target.is_some())?;
        let targets: Vec<_> = said[1..=last].iter().map(|&(_, target)| target).collect();
        let ids = said[..last].iter().map(|&(id, _)| id).collect();
        Some(Example { ids, targets, cut })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    fn said(role: Role, content: &str) -> Message {
        Message {
            role,
            content: content.into(),
        }
    }

    fn example(messages: &[Message], context: usize) -> Option<Example> {
        Example::of(messages, &ChatFormat::default(), 2, letters, context)
    }

    /// Catches: a user's token or text, the assistant's token or the system's text that counts; `</s>` in the midst, or not learned there.
    #[test]
    fn answers_and_their_ends_count_and_nothing_else() {
        let messages = [
            said(Role::System, "s"),
            said(Role::User, "a"),
            said(Role::User, "b"),
            said(Role::Assistant, "cd"),
            said(Role::User, "e"),
            said(Role::Assistant, "f"),
            said(Role::User, "g"),
        ];
        let example = example(&messages, 100).unwrap();
        let (s, [a, b, c, d, e, f]) = (115, [97, 98, 99, 100, 101, 102]);
        assert_eq!(
            example.ids,
            [s, 195, a, 195, b, 196, c, d, 195, e, 196, f],
            "the last message of the user has no answer"
        );
        let mut targets = [None; 12];
        (targets[5], targets[6], targets[7]) = (Some(c), Some(d), Some(2));
        (targets[10], targets[11]) = (Some(f), Some(2));
        assert_eq!(example.targets, targets);
        assert!(!example.cut);
    }

    /// Catches: other ids than those that the model sees when the conversation is held.
    #[test]
    fn ids_are_those_of_the_conversation_when_it_is_held() {
        let messages = [
            said(Role::System, "be kind"),
            said(Role::User, "hello"),
            said(Role::Assistant, "hi"),
            said(Role::User, "who?"),
            said(Role::Assistant, "me"),
        ];
        let held = ChatFormat::default()
            .ids(&messages, letters, 4096, 1)
            .unwrap();
        assert_eq!(example(&messages, 4096).unwrap().ids, held);
    }

    /// Catches: a cut from the left; `</s>` behind an answer that was cut; an example without a target.
    #[test]
    fn what_is_too_long_is_cut_from_the_right() {
        let messages = [said(Role::User, "ab"), said(Role::Assistant, "cdef")];
        let whole = example(&messages, 9).unwrap();
        assert_eq!(whole.ids.len(), 8);
        assert_eq!((whole.targets[7], whole.cut), (Some(2), false));
        let cut = example(&messages, 6).unwrap();
        assert_eq!((&cut.ids[..], cut.cut), (&whole.ids[..5], true));
        assert_eq!(cut.targets, whole.targets[..5]);
        for context in 0..5 {
            assert_eq!(example(&messages, context), None, "{context}");
        }
        assert_eq!(example(&[said(Role::User, "ab")], 9), None);
    }

    /// Catches: an array and lines that differ; a byte order mark; blank lines that are errors; lines that are counted wrong.
    #[test]
    fn arrays_and_lines_are_the_same() {
        let one = |n: usize| {
            format!(
                r#"{{"id": "{n}", "conversations": [{{"from": "human", "value": "{n}?"}}, {{"from": "gpt", "value": "{n}!"}}]}}"#
            )
        };
        let lines = format!("\u{feff}{}\r\n\n{}\n", one(1), one(2));
        let array = format!(" [\n{},\n\n  {}\n]\n", one(1), one(2));
        let (lines, array) = (
            read_conversations(&lines).unwrap(),
            read_conversations(&array).unwrap(),
        );
        let at = |conversations: &[Conversation]| conversations.iter().map(|c| c.line).collect();
        let (in_lines, in_array): (Vec<_>, Vec<_>) = (at(&lines), at(&array));
        assert_eq!((in_lines, in_array), (vec![1, 3], vec![2, 4]));
        assert!(
            lines
                .iter()
                .zip(&array)
                .all(|(a, b)| a.messages == b.messages)
        );
        assert_eq!(lines[1].messages[0].content, "2?");
    }

    /// Catches: a mistake that is passed over, or told with the wrong line.
    #[test]
    fn mistakes_are_told_with_their_line() {
        let good = r#"{"conversations": [{"from": "user", "value": "a"}, {"from": "assistant", "value": "b"}]}"#;
        let told = |second: &str| {
            let lines = read_conversations(&format!("{good}\n{second}\n")).unwrap_err();
            let array = read_conversations(&format!("[{good},\n{second}]")).unwrap_err();
            let (lines, array) = (lines.to_string(), array.to_string());
            assert!(lines.starts_with("line 2"), "{lines}");
            assert!(array.starts_with("line 2"), "{array}");
            lines
        };
        for (second, expected) in [
            (r#"{"conversations": []}"#, "no messages"),
            (
                r#"{"conversations": [{"from": "dog", "value": "a"}]}"#,
                "message 1 is from `dog`",
            ),
            (
                r#"{"conversations": [{"from": "human", "value": "a"}]}"#,
                "nothing to learn",
            ),
            (
                r#"{"conversations": [{"from": "gpt", "value": ""}]}"#,
                "message 1 is empty",
            ),
            (
                r#"{"conversations": [{"from": "gpt", "value": "a"}, {"from": "system", "value": "a"}]}"#,
                "message 2 is the system's",
            ),
            (
                r#"{"conversations": [{"from": "gpt"}]}"#,
                "missing field `value`",
            ),
            (r#"{"conversation": []}"#, "missing field `conversations`"),
            (r#"{"conversations": [}"#, "line 2, column 20"),
        ] {
            let told = told(second);
            assert!(told.contains(expected), "{told}");
        }
        let nothing = [" \n", "[]"].map(|text| read_conversations(text).unwrap_err());
        assert_eq!(
            nothing,
            [ConversationsError::Nothing, ConversationsError::Nothing]
        );
        let torn = read_conversations("{\n\"conversations\": []\n}").unwrap_err();
        assert!(torn.to_string().contains("one a line"), "{torn}");
        // In the midst of a record of several lines.
        let inside = read_conversations(&format!("[{good},\n{{\n\"conversations\": 7}}]"));
        let inside = inside.unwrap_err().to_string();
        assert!(inside.starts_with("line 3"), "{inside}");
    }
}
