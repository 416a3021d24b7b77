/// How much a client sends ahead of its peer's answers, and when it is given to whoever asked for it.
package enum Pace: Sendable {
    /// Each answer is waited for: what a peer that took offence at less patience is tried with.
    case waiting
    /// What can be sent ahead is; given away when logged in.
    case loggedIn
    /// Given away as soon as sessions can be opened behind the login: whether that succeeds shows with them.
    case ahead
}
