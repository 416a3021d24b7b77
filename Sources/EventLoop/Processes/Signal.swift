internal import Glibc

/// A signal by its number; the names are those of RFC 4254 §6.10, without `SIG`.
package struct Signal: Hashable, Sendable {
    package let number: Int32

    package init(number: Int32) {
        self.number = number
    }

    /// nil for names that RFC 4254 §6.10 does not have.
    package init?(name: String) {
        guard let number = Self.names.first(where: { $0.name == name })?.number else { return nil }
        self.number = number
    }

    package var name: String? { Self.names.first { $0.number == number }?.name }

    package static let hangUp = Signal(number: SIGHUP)
    package static let interrupt = Signal(number: SIGINT)
    package static let quit = Signal(number: SIGQUIT)
    package static let kill = Signal(number: SIGKILL)
    package static let terminate = Signal(number: SIGTERM)
    package static let windowChange = Signal(number: SIGWINCH)
    package static let user1 = Signal(number: SIGUSR1)
    package static let user2 = Signal(number: SIGUSR2)

    private static let names: [(name: String, number: Int32)] = [
        ("ABRT", SIGABRT), ("ALRM", SIGALRM), ("FPE", SIGFPE), ("HUP", SIGHUP), ("ILL", SIGILL), ("INT", SIGINT), ("KILL", SIGKILL),
        ("PIPE", SIGPIPE), ("QUIT", SIGQUIT), ("SEGV", SIGSEGV), ("TERM", SIGTERM), ("USR1", SIGUSR1), ("USR2", SIGUSR2),
    ]
}
