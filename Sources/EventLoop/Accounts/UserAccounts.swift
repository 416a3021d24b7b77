package import Base
internal import CLibuv
internal import Glibc

/// An account of this machine.
package struct UserAccount: Equatable, Sendable {
    package let name: String
    package let identifier: UInt32
    package let group: UInt32
    /// All groups, the primary one among them.
    package let groups: [UInt32]
    package let home: String
    package let shell: String

    package init(name: String, identifier: UInt32, group: UInt32, groups: [UInt32], home: String, shell: String) {
        self.name = name
        self.identifier = identifier
        self.group = group
        self.groups = groups
        self.home = home
        self.shell = shell
    }
}

/// The system's list of accounts. The calls may ask a directory server: they belong on the worker pool.
package enum UserAccounts {
    /// More groups than that are not looked at; Linux itself allows 65,536.
    private static let groupsMax = 65_536

    package static func account(named name: String) throws(TeleportError) -> UserAccount? {
        try unsafe find("the account \(name)", { unsafe getpwnam_r(name, $0, $1, $2, $3) }) { unsafe UserAccount($0) }
    }

    package static func account(identifier: UInt32) throws(TeleportError) -> UserAccount? {
        try unsafe find("the account \(identifier)", { unsafe getpwuid_r(identifier, $0, $1, $2, $3) }) { unsafe UserAccount($0) }
    }

    /// The name of an account, without its groups: which name services know those may take long to find out.
    package static func name(identifier: UInt32) throws(TeleportError) -> String? {
        try unsafe find("the account \(identifier)", { unsafe getpwuid_r(identifier, $0, $1, $2, $3) }) {
            unsafe String(cString: $0.pw_name)
        }
    }

    /// Whom this process runs as.
    package static var effectiveIdentifier: UInt32 { geteuid() }

    package static func group(named name: String) throws(TeleportError) -> UInt32? {
        try unsafe findGroup("the group \(name)", { unsafe getgrnam_r(name, $0, $1, $2, $3) }) { unsafe $0.gr_gid }
    }

    /// The name of a group; nil where it has none.
    package static func groupName(identifier: UInt32) throws(TeleportError) -> String? {
        try unsafe findGroup("the group \(identifier)", { unsafe getgrgid_r(identifier, $0, $1, $2, $3) }) {
            unsafe String(cString: $0.gr_name)
        }
    }

    private typealias GroupSearch = (
        UnsafeMutablePointer<Glibc.group>, UnsafeMutablePointer<CChar>, Int, UnsafeMutablePointer<UnsafeMutablePointer<Glibc.group>?>
    ) -> CInt

    private static func findGroup<Value>(
        _ what: String, _ search: GroupSearch, _ value: (Glibc.group) -> Value
    ) throws(TeleportError) -> Value? {
        var size = 1024
        while true {
            var entry = unsafe Glibc.group()
            var result: UnsafeMutablePointer<Glibc.group>?
            var buffer = [CChar](repeating: 0, count: size)
            var found: Value?
            let code = unsafe buffer.withUnsafeMutableBufferPointer { memory -> CInt in
                guard let base = memory.baseAddress else { return EINVAL }
                let code = unsafe search(&entry, base, memory.count, &result)
                if code == 0, unsafe result != nil { found = unsafe value(entry) }
                return code
            }
            if code == ERANGE, size < 1 << 20 {
                size *= 4
                continue
            }
            guard code == 0 else { throw UVError.errno("looking up \(what)", code) }
            return found
        }
    }

    private typealias Search = (
        UnsafeMutablePointer<passwd>, UnsafeMutablePointer<CChar>, Int, UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
    ) -> CInt

    private static func find<Value>(
        _ what: String, _ search: Search, _ value: (passwd) -> Value
    ) throws(TeleportError) -> Value? {
        var size = 1024
        while true {
            var entry = unsafe passwd()
            var result: UnsafeMutablePointer<passwd>?
            var buffer = [CChar](repeating: 0, count: size)
            var found: Value?
            let code = unsafe buffer.withUnsafeMutableBufferPointer { memory -> CInt in
                guard let base = memory.baseAddress else { return EINVAL }
                let code = unsafe search(&entry, base, memory.count, &result)
                if code == 0, unsafe result != nil { found = unsafe value(entry) }
                return code
            }
            if code == ERANGE, size < 1 << 20 {
                size *= 4
                continue
            }
            // Some name services say "no such entry" so.
            if [0, ENOENT, ESRCH].contains(code) { return found }
            throw UVError.errno("looking up \(what)", code)
        }
    }

    fileprivate static func groups(of name: String, primary: UInt32) -> [UInt32] {
        var count: CInt = 64
        while true {
            var groups = [gid_t](repeating: 0, count: Int(count))
            let room = count
            if unsafe getgrouplist(name, primary, &groups, &count) >= 0 { return Array(groups.prefix(Int(count))) }
            guard count > room, count <= groupsMax else { return [primary] }
        }
    }
}

extension UserAccount {
    fileprivate init(_ entry: passwd) {
        name = unsafe String(cString: entry.pw_name)
        identifier = unsafe entry.pw_uid
        group = unsafe entry.pw_gid
        home = unsafe String(cString: entry.pw_dir)
        shell = unsafe String(cString: entry.pw_shell)
        groups = UserAccounts.groups(of: name, primary: group)
    }
}
