//! Which key does what: [`Act`].

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What somebody asks for with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Quit,
    /// The group above, or below.
    Up,
    Down,
    /// What does not fit, above or below.
    ScrollUp,
    ScrollDown,
    /// Into the details of the chosen group, or out of them.
    Details,
    /// Back to all groups.
    Back,
    Help,
    /// Stops looking, or goes on with it.
    Pause,
    /// Looks less often, or more often.
    Slower,
    Faster,
}

/// The keys, as the help shows them.
pub(crate) const KEYS: [(&str, &str); 8] = [
    ("q", "quit, as does ctrl-c"),
    ("↑ ↓ k j", "choose a group"),
    ("enter tab", "details of the chosen group, and back"),
    ("pgup pgdn", "scroll the details"),
    ("esc", "back to all groups"),
    ("p space", "pause the view, or go on"),
    ("+ -", "look less often, or more often"),
    ("?", "this help, and back"),
];

/// What a key asks for; `None` if nothing.
pub(crate) fn act(key: KeyEvent) -> Option<Act> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Act::Quit);
    }
    Some(match key.code {
        KeyCode::Char('q') => Act::Quit,
        KeyCode::Up | KeyCode::Char('k') => Act::Up,
        KeyCode::Down | KeyCode::Char('j') => Act::Down,
        KeyCode::PageUp => Act::ScrollUp,
        KeyCode::PageDown => Act::ScrollDown,
        KeyCode::Enter | KeyCode::Tab => Act::Details,
        KeyCode::Esc => Act::Back,
        KeyCode::Char('?' | 'h') => Act::Help,
        KeyCode::Char('p' | ' ') => Act::Pause,
        KeyCode::Char('+' | '=') => Act::Slower,
        KeyCode::Char('-') => Act::Faster,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_does_what_the_help_says() {
        let rows = [
            (KeyCode::Char('q'), Act::Quit),
            (KeyCode::Up, Act::Up),
            (KeyCode::Char('k'), Act::Up),
            (KeyCode::Down, Act::Down),
            (KeyCode::Char('j'), Act::Down),
            (KeyCode::Enter, Act::Details),
            (KeyCode::Tab, Act::Details),
            (KeyCode::PageUp, Act::ScrollUp),
            (KeyCode::PageDown, Act::ScrollDown),
            (KeyCode::Esc, Act::Back),
            (KeyCode::Char('?'), Act::Help),
            (KeyCode::Char('p'), Act::Pause),
            (KeyCode::Char(' '), Act::Pause),
            (KeyCode::Char('+'), Act::Slower),
            (KeyCode::Char('-'), Act::Faster),
        ];
        for (code, asked) in rows {
            assert_eq!(act(code.into()), Some(asked), "{code:?}");
        }
        assert_eq!(act(KeyCode::Char('x').into()), None);
    }

    #[test]
    fn ctrl_c_quits_and_other_controls_do_nothing() {
        let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        assert_eq!(act(control('c')), Some(Act::Quit));
        assert_eq!(act(control('q')), None);
    }

    #[test]
    fn letting_a_key_go_does_nothing() {
        let key = KeyEvent { kind: KeyEventKind::Release, ..KeyCode::Char('q').into() };
        assert_eq!(act(key), None);
    }
}
