import Base
import EventLoop
import Testing

/// Somebody else's program or module, as Debian has it.
struct Tool: Sendable {
    /// A file that is there when it is installed.
    let path: String
    /// The Debian package that it comes in; `scripts/deps` installs it.
    let package: String

    static let ansible = Tool(path: "/usr/bin/ansible-playbook", package: "ansible-core")
    static let asyncSSH = Tool(path: "/usr/lib/python3/dist-packages/asyncssh/__init__.py", package: "python3-asyncssh")
    static let curl = Tool(path: "/usr/bin/curl", package: "curl")
    static let dropbear = Tool(path: "/usr/bin/dbclient", package: "dropbear-bin")
    static let git = Tool(path: "/usr/bin/git", package: "git")
    static let mosh = Tool(path: "/usr/bin/mosh-server", package: "mosh")
    static let paramiko = Tool(path: "/usr/lib/python3/dist-packages/paramiko/__init__.py", package: "python3-paramiko")
    static let putty = Tool(path: "/usr/bin/plink", package: "putty-tools")
    static let rsync = Tool(path: "/usr/bin/rsync", package: "rsync")
    static let sshAudit = Tool(path: "/usr/bin/ssh-audit", package: "ssh-audit")
    static let sshfs = Tool(path: "/usr/bin/sshfs", package: "sshfs")

    /// Where Debian's Python modules are.
    static let python = "/usr/bin/python3"

    /// Whether a file system of the user's own can be mounted here.
    static var canMount: Bool { UserAccounts.effectiveIdentifier == 0 && (try? FileIO.status("/dev/fuse")) != nil }

    var isInstalled: Bool { (try? FileIO.status(path)) != nil }
}

extension Trait where Self == ConditionTrait {
    static func needs(_ tool: Tool) -> Self {
        .enabled(if: tool.isInstalled, "needs the Debian package \(tool.package)")
    }
}
