package import Base
internal import CLibuv
internal import Glibc

/// The steps by which a freshly started process of ours becomes a user's process. Each is one system call; none can be undone.
///
/// For the session child only: one thread, no loop.
package enum LoginProcess {
    /// Begins a session, and makes the terminal at `descriptor` its controlling terminal where one is given.
    package static func beginSession(terminal descriptor: Int32?) throws(TeleportError) {
        // A process that was started as the leader of a session already is one.
        guard setsid() >= 0 || getsid(0) == getpid() else { throw UVError.errno("beginning a session") }
        if let descriptor {
            guard shim_set_controlling_terminal(descriptor) == 0 else { throw UVError.errno("taking the terminal") }
        }
    }

    /// Takes on groups, group and user for good, and checks that there is no way back.
    ///
    /// A process that is no superuser can only remain who it is.
    package static func become(_ account: UserAccount) throws(TeleportError) {
        if geteuid() != 0 {
            guard geteuid() == account.identifier else {
                throw TeleportError.accessDenied("a process that does not run as root cannot become \(account.name)")
            }
            return
        }
        guard unsafe setgroups(account.groups.count, account.groups) == 0 else {
            throw UVError.errno("taking the groups of \(account.name)")
        }
        guard setresgid(account.group, account.group, account.group) == 0 else {
            throw UVError.errno("taking the group of \(account.name)")
        }
        guard setresuid(account.identifier, account.identifier, account.identifier) == 0 else {
            throw UVError.errno("becoming \(account.name)")
        }
        guard account.identifier == 0 || setuid(0) != 0 else { throw TeleportError.accessDenied("the way back to root is open") }
    }

    /// For a process that ends when its parent does, and has to clean up then.
    package static func ignoreTermination() {
        for number in [SIGHUP, SIGINT, SIGTERM] { signal(number, SIG_IGN) }
    }

    package static var identifier: Int32 { getpid() }

    package static func setFileModeMask(_ mask: UInt32) {
        umask(mask)
    }

    package static func enter(directory: String) throws(TeleportError) {
        guard unsafe chdir(directory) == 0 else { throw UVError.errno("entering \(directory)") }
    }

    /// Puts `source` in the place of descriptor `target`, open across ``execute(_:arguments:environment:)``.
    package static func place(_ source: Int32, at target: Int32) throws(TeleportError) {
        guard dup2(source, target) >= 0 else { throw UVError.errno("placing a descriptor") }
    }

    package static func close(_ descriptor: Int32) {
        Glibc.close(descriptor)
    }

    /// Becomes another program; comes back only to throw.
    ///
    /// - Parameter arguments: bytes as they came: a command line need not be UTF-8.
    package static func execute(_ path: String, arguments: [[UInt8]], environment: [String]) throws(TeleportError) -> Never {
        // Ignored signals stay ignored across `execve`.
        signal(SIGPIPE, SIG_DFL)
        unsafe CStrings.with(arguments) { arguments in
            unsafe CStrings.with(environment) { environment in
                _ = unsafe execve(path, arguments, environment)
            }
        }
        throw UVError.errno("starting \(path)")
    }

    /// Ends this process at once.
    package static func exit(_ status: Int32) -> Never {
        _exit(status)
    }
}
