import Base
import ClientKit
import Testing

@Suite("Forwards on the command line (ssh(1): -L, -R, -D)")
struct ForwardTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let text: String
        let listener: Forward.Listener
        let target: Forward.Target

        init(_ text: String, _ listener: Forward.Listener, _ target: Forward.Target) {
            self.text = text
            self.listener = listener
            self.target = target
        }

        var testDescription: String { text }
    }

    static let db = Forward.Target.tcp(HostPort(host: "db", port: 5432))
    static let both = [
        Case("8080:db:5432", .tcp(bind: nil, port: 8080), db),
        Case("127.0.0.9:8080:db:5432", .tcp(bind: "127.0.0.9", port: 8080), db),
        Case("*:8080:db:5432", .tcp(bind: "", port: 8080), db),
        Case(":8080:db:5432", .tcp(bind: "", port: 8080), db),
        Case("[::1]:8080:[2001:db8::1]:80", .tcp(bind: "::1", port: 8080), .tcp(HostPort(host: "2001:db8::1", port: 80))),
        Case("8080:/run/db.sock", .tcp(bind: nil, port: 8080), .unix(path: "/run/db.sock")),
        Case("localhost:8080:/run/db.sock", .tcp(bind: "localhost", port: 8080), .unix(path: "/run/db.sock")),
        Case("/tmp/here.sock:db:5432", .unix(path: "/tmp/here.sock"), db),
        Case("/tmp/here.sock:/run/db.sock", .unix(path: "/tmp/here.sock"), .unix(path: "/run/db.sock")),
    ]
    static let dynamic = [
        Case("1080", .tcp(bind: nil, port: 1080), .socks),
        Case("127.0.0.9:1080", .tcp(bind: "127.0.0.9", port: 1080), .socks),
        Case("*:1080", .tcp(bind: "", port: 1080), .socks),
    ]

    @Test(arguments: both)
    func `either direction has a place to listen and a target`(wanted: Case) throws {
        for forward in [try Forward(local: wanted.text), try Forward(remote: wanted.text)] {
            #expect(forward.listener == wanted.listener && forward.target == wanted.target)
        }
        #expect(try Forward(local: wanted.text).direction == .local && Forward(remote: wanted.text).direction == .remote)
    }

    @Test(arguments: dynamic)
    func `SOCKS has no target of its own`(wanted: Case) throws {
        for forward in [try Forward(dynamic: wanted.text), try Forward(remote: wanted.text)] {
            #expect(forward.listener == wanted.listener && forward.target == wanted.target)
        }
    }

    @Test(arguments: [
        "", ":", "x", "8080", "8080:db", "8080:db:x", "8080:db:0", "8080:db:65536", "65536:db:80", "8080::80", "a:b:c:d:e",
        "[::1:8080:db:80",
        "[::1]x:8080:db:80", "x:db:80",
    ])
    func `is no -L`(text: String) {
        #expect(throws: TeleportError.self) { try Forward(local: text) }
    }

    @Test(arguments: ["", "x", "/tmp/a.sock", "8080:db:5432", "-1"])
    func `is no -D`(text: String) {
        #expect(throws: TeleportError.self) { try Forward(dynamic: text) }
    }

    @Test func `options of ssh_config say the same as flags, the first of a name counts`() throws {
        let options = try SSHOptions([
            "User=root", "user deploy", "Port=2222", "RequestTTY=force", "LocalForward=8080 db:5432", "RemoteForward 9090 [::1]:80",
            "DynamicForward=1080", "ExitOnForwardFailure=no", "SendEnv=GIT_* LANG", "SetEnv=A=1 B=2=3", "ForwardAgent=yes",
            "SessionType=none", "StrictHostKeyChecking=no",
        ])
        #expect(options.user == "root" && options.port == 2222 && options.terminal == .always)
        #expect(options.forwards.map(\.description) == ["-L 8080:db:5432", "-R 9090:[::1]:80", "-D 1080"])
        #expect(!options.needsForwards && options.forwardsAgent && options.startsNoSession)
        #expect(options.sends("GIT_PROTOCOL") && options.sends("LANG") && !options.sends("LANGUAGE"))
        #expect(options.environment == ["A": "1", "B": "2=3"])
    }

    @Test func `ControlPersist is yes, no or a time, and ControlPath none`() throws {
        func persistence(_ text: String) throws -> Persistence? { try SSHOptions(["ControlPersist=\(text)"]).persistence }
        #expect(try persistence("no") == Persistence.none)
        #expect(try persistence("90") == .time(.seconds(90)))
        #expect(try persistence("1h30m") == .time(.seconds(5400)))
        #expect(try persistence("yes") == persistence("0"))
        // Longer than any certificate is as good as for ever, and no timer overflows.
        #expect(try persistence("9223372036854775807") == persistence("yes"))
        #expect(try SSHOptions([]).persistence == nil && !SSHOptions(["ControlPath=/tmp/x"]).sharesNothing)
        #expect(try SSHOptions(["ControlPath=none"]).sharesNothing)
    }

    @Test(arguments: [
        "", "User", "=x", "Port=x", "Tunnel=yes", "ForwardAgent=perhaps", "SetEnv=x", "RequestTTY=maybe", "ControlPersist=soon",
        "ControlPersist=-1", "ControlPersist=",
    ])
    func `is no option`(text: String) {
        #expect(throws: TeleportError.self) { try SSHOptions([text]) }
    }
}
