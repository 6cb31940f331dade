//! Texts that people type, checked while they are parsed.

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_LABEL_CHARS, MAX_PROMPT_BYTES, MAX_TITLE_CHARS, MAX_URL_BYTES};
use crate::models::Effort;

/// Why a text was refused, in words that can be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Nothing but white space.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// Longer than the limit of [`crate::limits`].
    #[error("{what} is too long: at most {max} {unit}")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// The limit.
        max: usize,
        /// Of what the limit counts.
        unit: &'static str,
    },
    /// Control characters where none may stand.
    #[error("{0} must not contain control characters")]
    Control(&'static str),
    /// Nothing that can be seen.
    #[error("{0} needs characters that can be seen")]
    Invisible(&'static str),
    /// Characters that turn round how the text around them is shown.
    #[error("{0} must not contain characters that change the direction of the text around them")]
    Turned(&'static str),
    /// Not the shape that is wanted.
    #[error("{0}")]
    Shape(&'static str),
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $parse:path, $schema:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = $schema))]
        #[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "string"))]
        pub struct $name(String);

        impl $name {
            /// The checked text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidText;
            fn try_from(value: String) -> Result<Self, InvalidText> {
                $parse(&value).map(Self)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidText;
            fn from_str(value: &str) -> Result<Self, InvalidText> {
                Self::try_from(value.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(/// What a person asks. Line ends are `\n`; no NUL; at most [`MAX_PROMPT_BYTES`].
    PromptText, parse_prompt, shapes::prompt);
text!(/// A session's title: one line, trimmed, at most [`MAX_TITLE_CHARS`] characters. What people choose is a [`ChosenTitle`],
    /// what comes from elsewhere is [`Title::cleaned`].
    Title, parse_title, shapes::title);
text!(/// A title as people choose it: something of it is to be seen, and nothing turns the line in which it stands.
    ChosenTitle, parse_chosen_title, shapes::chosen_title);
text!(/// Where a repository is: `https://…` without credentials, `file:///…`, or an absolute path.
    RepoUrl, parse_repo_url, shapes::repo_url);
text!(/// A branch or tag name by the rules of git-check-ref-format(1).
    Branch, parse_branch, shapes::branch);
text!(/// What people call something: one line, trimmed, 1 to 100 characters, something of it to be seen, and nothing that turns
    /// the line in which it stands.
    Label, parse_label, shapes::label);
text!(/// A model, as `provider/model`.
    ModelId, parse_model, shapes::model);
text!(/// A provider of models: the part of a [`ModelId`] before the slash, 1 to 32 of `[a-z0-9-]`, no `-` at either end.
    ProviderName, parse_provider, shapes::provider);

/// The same rules as far as JSON Schema can say them: what a schema forbids is refused when it is parsed. Lengths are in
/// characters; where bytes count, the schema allows as many characters.
#[cfg(feature = "schema")]
mod shapes {
    use schemars::Schema;

    use crate::limits::{MAX_LABEL_CHARS, MAX_PROMPT_BYTES, MAX_TITLE_CHARS, MAX_URL_BYTES};

    fn shape(schema: &mut Schema, pattern: &str, max: usize) {
        schema.insert("pattern".to_owned(), pattern.into());
        schema.insert("minLength".to_owned(), 1.into());
        schema.insert("maxLength".to_owned(), max.into());
    }

    pub(super) fn prompt(schema: &mut Schema) {
        shape(schema, r"^[^\u0000]*[^\s\u0000][^\u0000]*$", MAX_PROMPT_BYTES);
    }

    /// One line without control characters. White space around it counts towards the schema's length, and not when it is
    /// parsed.
    const LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";

    pub(super) fn title(schema: &mut Schema) {
        shape(schema, LINE, MAX_TITLE_CHARS);
    }

    pub(super) fn label(schema: &mut Schema) {
        visible(schema, MAX_LABEL_CHARS);
    }

    pub(super) fn chosen_title(schema: &mut Schema) {
        visible(schema, MAX_TITLE_CHARS);
    }

    fn visible(schema: &mut Schema, max: usize) {
        const OTHER: &str = r"[^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*";
        const SEEN: &str = r"[^\s\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb]";
        shape(schema, &format!("^{OTHER}{SEEN}{OTHER}$"), max);
    }

    /// A path has no part that is `..`.
    pub(super) fn repo_url(schema: &mut Schema) {
        const URL: &str = r"https?://[^/@\s\u0000-\u001f\u007f-\u009f]+(/[^\s\u0000-\u001f\u007f-\u009f]*)?";
        const PART: &str = r"([^/.]|\.[^/.]|\.\.[^/])[^/]*|\.";
        shape(schema, &format!(r"^({URL}|(file://)?(/({PART})?)+)$"), MAX_URL_BYTES);
    }

    pub(super) fn branch(schema: &mut Schema) {
        shape(schema, r"^[^\s~^:?*\[\\]+$", 250);
    }

    pub(super) fn provider(schema: &mut Schema) {
        shape(schema, r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", 32);
    }

    pub(super) fn model(schema: &mut Schema) {
        shape(schema, r"^[A-Za-z0-9._:@-]+/[A-Za-z0-9/._:@-]+$", 200);
    }
}

fn parse_prompt(value: &str) -> Result<String, InvalidText> {
    if value.len() > MAX_PROMPT_BYTES {
        return Err(InvalidText::TooLong {
            what: "the prompt",
            max: MAX_PROMPT_BYTES / 1024,
            unit: "KiB",
        });
    }
    if value.contains('\0') {
        return Err(InvalidText::Control("the prompt"));
    }
    if value.trim().is_empty() {
        return Err(InvalidText::Empty("the prompt"));
    }
    Ok(if value.contains('\r') {
        value.replace("\r\n", "\n").replace('\r', "\n")
    } else {
        value.to_owned()
    })
}

fn parse_label(value: &str) -> Result<String, InvalidText> {
    const WHAT: &str = "the name";
    seen(one_line(value, WHAT, MAX_LABEL_CHARS)?, WHAT)
}

fn parse_chosen_title(value: &str) -> Result<String, InvalidText> {
    seen(one_line(value, THE_TITLE, MAX_TITLE_CHARS)?, THE_TITLE)
}

fn parse_title(value: &str) -> Result<String, InvalidText> {
    one_line(value, THE_TITLE, MAX_TITLE_CHARS).map(str::to_owned)
}

const THE_TITLE: &str = "the title";

fn one_line<'a>(value: &'a str, what: &'static str, max: usize) -> Result<&'a str, InvalidText> {
    let line = value.trim();
    if line.is_empty() {
        return Err(InvalidText::Empty(what));
    }
    if line.chars().count() > max {
        return Err(InvalidText::TooLong {
            what,
            max,
            unit: "characters",
        });
    }
    if line.chars().any(char::is_control) {
        return Err(InvalidText::Control(what));
    }
    Ok(line)
}

/// Something of it can be seen, and it turns nothing round.
fn seen(line: &str, what: &'static str) -> Result<String, InvalidText> {
    if line.chars().any(turns_text) {
        return Err(InvalidText::Turned(what));
    }
    if !line.chars().any(is_seen) {
        return Err(InvalidText::Invisible(what));
    }
    Ok(line.to_owned())
}

/// What a line may have of a text that is cleaned instead of refused.
fn cleaned(text: &str, max: usize) -> String {
    let fits = |c: &char| !c.is_control() && !turns_text(*c);
    text.trim().chars().filter(fits).take(max).collect()
}

/// Embeddings, overrides and isolates of Unicode's bidirectional algorithm: with one of them a name makes the line in which
/// it stands read backwards. The marks of single places are left: Arabic and Hebrew names have them.
const fn turns_text(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a font shows something for it: no space, and not one of those that Unicode says to leave out (or to leave blank).
fn is_seen(c: char) -> bool {
    let unseen = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    !unseen && !c.is_whitespace() && !c.is_control()
}

fn parse_repo_url(value: &str) -> Result<String, InvalidText> {
    const WHAT: &str = "the repository";
    let url = value.trim();
    if url.is_empty() {
        return Err(InvalidText::Empty(WHAT));
    }
    if url.len() > MAX_URL_BYTES {
        return Err(InvalidText::TooLong {
            what: WHAT,
            max: MAX_URL_BYTES,
            unit: "bytes",
        });
    }
    if url.chars().any(|c| c.is_control() || c.is_whitespace() && c != ' ') {
        return Err(InvalidText::Control(WHAT));
    }
    if let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) {
        let host = rest.split('/').next().unwrap_or_default();
        if host.contains('@') {
            return Err(InvalidText::Shape(
                "the repository address must not contain a user name or token",
            ));
        }
        if host.is_empty() || url.contains(' ') {
            return Err(InvalidText::Shape("the repository address has no host"));
        }
        return Ok(url.to_owned());
    }
    let path = url.strip_prefix("file://").unwrap_or(url);
    if !path.starts_with('/') {
        return Err(InvalidText::Shape(
            "the repository must be an https:// address, a file:// address or an absolute path",
        ));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(InvalidText::Shape("the repository path must not contain '..'"));
    }
    Ok(url.to_owned())
}

fn parse_branch(value: &str) -> Result<String, InvalidText> {
    let name = value.trim();
    if name.is_empty() {
        return Err(InvalidText::Empty("the branch"));
    }
    let bad_char = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    let bad = name.len() > 250
        || name.starts_with('-')
        || name.starts_with('/')
        || name.ends_with('/')
        || name.ends_with('.')
        || name.contains("..")
        || name.contains("@{")
        || name.contains("//")
        || name
            .split('/')
            .any(|part| part.starts_with('.') || part.strip_suffix(".lock").is_some())
        || name.chars().any(bad_char);
    if bad {
        Err(InvalidText::Shape("not a valid branch name"))
    } else {
        Ok(name.to_owned())
    }
}

fn parse_model(value: &str) -> Result<String, InvalidText> {
    let ok = value.len() <= 200
        && value
            .split_once('/')
            .is_some_and(|(provider, model)| !provider.is_empty() && !model.is_empty())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "/._:-@".contains(c));
    if ok {
        Ok(value.to_owned())
    } else {
        Err(InvalidText::Shape("the model must be written as provider/model"))
    }
}

fn parse_provider(value: &str) -> Result<String, InvalidText> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ok =
        (1..=32).contains(&value.len()) && value.chars().all(plain) && !value.starts_with('-') && !value.ends_with('-');
    if ok {
        Ok(value.to_owned())
    } else {
        Err(InvalidText::Shape(
            "a provider's name has 1 to 32 lower-case letters, digits and hyphens",
        ))
    }
}

impl RepoUrl {
    /// The path on the host's disk, when the repository is one.
    pub fn local_path(&self) -> Option<&str> {
        let path = self.0.strip_prefix("file://").unwrap_or(&self.0);
        path.starts_with('/').then_some(path)
    }

    /// The same text for all the ways to write one repository's address: what an org says of it must hold for each.
    /// Scheme, letter case of a web address, default ports, `.git`, slashes, dots and escapes that mean nothing are left out.
    pub fn key(&self) -> String {
        if let Some(path) = self.local_path() {
            return key_of_path(path);
        }
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host
            .strip_suffix(":443")
            .or_else(|| host.strip_suffix(":80"))
            .unwrap_or(host);
        let path = key_of_path(&unescaped(path));
        format!("{}{path}", host.trim_end_matches('.')).to_lowercase()
    }

    /// The one address of all those with the same [`key`](Self::key): for counting, not for fetching.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let key = self.key();
        let url = if key.starts_with('/') {
            key
        } else {
            format!("https://{key}")
        };
        url.parse().unwrap_or_else(|_| self.clone())
    }

    /// Whether it is another way to write the same repository's address.
    pub fn is_same(&self, other: &Self) -> bool {
        self == other || self.key() == other.key()
    }

    /// The last part of the address without `.git`, for titles and lists.
    pub fn short_name(&self) -> &str {
        let name = self.0.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        name.strip_suffix(".git").unwrap_or(name)
    }
}

fn key_of_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut key: String = parts.iter().flat_map(|part| ["/", part]).collect();
    while let Some(shorter) = key.strip_suffix("/.git").or_else(|| key.strip_suffix(".git")) {
        let length = shorter.len();
        key.truncate(length);
    }
    key
}

/// `%41` is another way to write `A`. What is no escape stays, and so does what is not UTF-8 afterwards.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

impl ModelId {
    /// `(provider, model)`.
    pub fn split(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or((&self.0, ""))
    }

    /// The model itself, and how much it is to think when that was said: `openai/gpt-5@high`.
    pub fn with_effort(&self) -> (Self, Option<Effort>) {
        let said = self.0.rsplit_once('@').and_then(|(model, effort)| {
            let effort = match effort {
                "low" => Effort::Low,
                "medium" => Effort::Medium,
                "high" => Effort::High,
                _ => return None,
            };
            Some((Self(model.to_owned()), Some(effort))).filter(|_| !model.ends_with('/'))
        });
        said.unwrap_or_else(|| (self.clone(), None))
    }
}

impl Label {
    /// A name from what nobody here typed (another server says that somebody is called so): what a name may not have is left
    /// out. None when nothing is left that can be seen.
    pub fn cleaned(text: &str) -> Option<Self> {
        cleaned(text, MAX_LABEL_CHARS).parse().ok()
    }
}

impl From<ChosenTitle> for Title {
    fn from(chosen: ChosenTitle) -> Self {
        Self(chosen.0)
    }
}

impl Title {
    /// A title from what nobody chose as one (the agent suggests it, a repository is called so): what a title may not have
    /// is left out. None when nothing is left that can be seen.
    pub fn cleaned(text: &str) -> Option<Self> {
        const MAX: usize = 120;
        let title = cleaned(text, MAX).parse::<ChosenTitle>().ok()?;
        Some(title.into())
    }

    /// A title from a prompt's first line, cut at a word; used until somebody or the engine gives a better one.
    pub fn from_prompt(prompt: &PromptText) -> Option<Self> {
        const MAX: usize = 80;
        let line = prompt.as_str().lines().find(|line| line.chars().any(is_seen))?;
        let clean = cleaned(line, usize::MAX);
        if clean.chars().count() <= MAX {
            return Self::cleaned(&clean);
        }
        let cut: String = clean.chars().take(MAX).collect();
        let at_word = cut.rsplit_once(' ').map_or(cut.as_str(), |(head, _)| head);
        Self::cleaned(&format!("{at_word}…"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_seen_and_turns_nothing_round() {
        let label = |text: &str| text.parse::<Label>();
        for fine in [
            "Acme",
            " Acme ",
            "日本語",
            "שלום\u{200f}",
            "👩\u{200d}💻",
            "e\u{301}",
            "a\u{200b}b",
        ] {
            assert_eq!(label(fine).unwrap().as_str(), fine.trim(), "{fine}");
        }
        for unseen in [
            "\u{200b}",
            "\u{200b} \u{2060}",
            "\u{3164}",
            "\u{2800}",
            "\u{ad}\u{feff}",
            "\u{e0041}",
        ] {
            assert_eq!(label(unseen), Err(InvalidText::Invisible("the name")), "{unseen:?}");
        }
        for turned in ["a\u{202e}cme", "\u{2066}acme", "\u{202a}", "acme\u{2069}"] {
            assert_eq!(label(turned), Err(InvalidText::Turned("the name")), "{turned:?}");
        }
        assert_eq!(label(" "), Err(InvalidText::Empty("the name")));
    }

    #[test]
    fn how_much_a_model_is_to_think_stands_after_its_name() {
        let split = |text: &str| {
            let (model, effort) = text.parse::<ModelId>().unwrap().with_effort();
            (model.as_str().to_owned(), effort)
        };
        assert_eq!(
            split("openai/gpt-5@high"),
            ("openai/gpt-5".to_owned(), Some(Effort::High))
        );
        for whole in ["openai/gpt-5", "vertex/claude@20250929", "x/@high"] {
            assert_eq!(split(whole), (whole.to_owned(), None));
        }
    }

    #[test]
    fn a_repository_address_carries_no_credentials_and_does_not_climb() {
        for good in [
            "https://github.com/a/b.git",
            "file:///srv/repo",
            "/srv/repo",
            "http://127.0.0.1:1/x",
        ] {
            assert!(good.parse::<RepoUrl>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "relative/path",
            "https://user:tok@github.com/a/b",
            "/srv/../etc",
            "ssh://x/y",
            "https://",
            "/a\nb",
        ] {
            assert!(bad.parse::<RepoUrl>().is_err(), "{bad}");
        }
        assert_eq!("https://h/a/calc.git/".parse::<RepoUrl>().unwrap().short_name(), "calc");
    }

    #[test]
    fn all_ways_to_write_an_address_have_one_key() {
        let key = |url: &str| url.parse::<RepoUrl>().unwrap().key();
        for other in [
            "https://github.com/Acme/Calc",
            "https://github.com/acme/calc/",
            "https://GitHub.com./acme/calc.git",
            "http://github.com:80/acme//calc.git/",
            "https://github.com:443/acme/./calc",
            "https://github.com/acme/x/../calc",
            "https://github.com/acme/c%61lc",
            "https://github.com/acme%2Fcalc",
            "https://github.com/acme/calc?x=1#y",
        ] {
            assert_eq!(key(other), "github.com/acme/calc", "{other}");
        }
        let canonical = |url: &str| url.parse::<RepoUrl>().unwrap().canonical().to_string();
        assert_eq!(
            canonical("http://GitHub.com/Acme//calc.git/"),
            "https://github.com/acme/calc"
        );
        assert_eq!(canonical("file:///srv/repo/"), "/srv/repo");
        assert_eq!(canonical("/"), "/");
        assert_eq!(key("file:///srv/Repo/.git"), "/srv/Repo");
        assert_eq!(key("/srv//Repo.git/"), "/srv/Repo");
        assert_ne!(key("/srv/repo"), key("/srv/Repo"), "a disk tells them apart");
        assert_ne!(key("https://github.com:8443/a/b"), key("https://github.com/a/b"));
        assert_ne!(key("https://a.example/b/c"), key("https://b.example/b/c"));
    }

    #[test]
    fn a_title_is_one_short_line() {
        assert_eq!("  Fix it ".parse::<Title>().unwrap().as_str(), "Fix it");
        assert!("a\u{7}b".parse::<Title>().is_err());
        assert!("x".repeat(100_000).parse::<Title>().is_err());
    }

    #[test]
    fn a_title_that_somebody_chooses_can_be_seen_and_turns_nothing_round() {
        let chosen = |text: &str| text.parse::<ChosenTitle>();
        assert_eq!(
            Title::from(chosen(" תקן את זה\u{200f} ").unwrap()).as_str(),
            "תקן את זה\u{200f}"
        );
        assert_eq!(chosen("\u{200b}"), Err(InvalidText::Invisible("the title")));
        assert_eq!(chosen("a\u{202e}b"), Err(InvalidText::Turned("the title")));
        assert!(chosen(&"x".repeat(MAX_TITLE_CHARS)).is_ok() && chosen(&"x".repeat(MAX_TITLE_CHARS + 1)).is_err());
        // One that is stored is read, whatever it is.
        assert!("\u{200b}a\u{202e}b".parse::<Title>().is_ok());
    }

    #[test]
    fn a_title_that_nobody_chose_is_cleaned() {
        let cleaned = |text: &str| Title::cleaned(text).map(String::from);
        assert_eq!(
            cleaned(" Mend\u{7} the \u{202e}test\u{2069} "),
            Some("Mend the test".to_owned())
        );
        assert_eq!(cleaned(&"x".repeat(1_000)), Some("x".repeat(120)));
        for nothing in ["", " \n", "\u{200b}\u{2060}", "\u{202e}", "\u{7}"] {
            assert_eq!(cleaned(nothing), None, "{nothing:?}");
        }
        let prompt: PromptText = "\u{200b}\n \u{202e}Fix it\nand more".parse().unwrap();
        assert_eq!(Title::from_prompt(&prompt).map(String::from), Some("Fix it".to_owned()));
        let unseen: PromptText = "\u{200b}".parse().unwrap();
        assert_eq!(Title::from_prompt(&unseen), None);
    }

    #[test]
    fn branch_names_follow_git() {
        for good in ["main", "feature/x-1", "v1.2"] {
            assert!(good.parse::<Branch>().is_ok(), "{good}");
        }
        for bad in ["", "-x", "a..b", "a b", "x.lock", "/a", "a/", ".a", "a~1", "a@{1}"] {
            assert!(bad.parse::<Branch>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prompt_may_hold_anything_but_nul_and_nothing() {
        assert_eq!("a\r\nb".parse::<PromptText>().unwrap().as_str(), "a\nb");
        assert!("\u{1b}[31mred".parse::<PromptText>().is_ok());
        assert!(" \n ".parse::<PromptText>().is_err());
        assert!("a\0".parse::<PromptText>().is_err());
        assert!("x".repeat(MAX_PROMPT_BYTES + 1).parse::<PromptText>().is_err());
    }

    #[test]
    fn a_title_from_a_prompt_is_cut_at_a_word() {
        let long = format!("please {}", "word ".repeat(40));
        let title = Title::from_prompt(&long.parse().unwrap()).unwrap();
        assert!(title.as_str().ends_with("word…") && title.as_str().chars().count() <= 81);
    }
}
