import Base
import EventLoop
import NodeService
import Testing

@Suite("LoginEnvironment")
struct LoginEnvironmentTests {
    static let account = UserAccount(
        name: "alice", identifier: 1000, group: 1000, groups: [1000, 27], home: "/home/alice", shell: "/bin/bash")
    static let session = LoginEnvironment.Session(
        client: .ip(IPAddress.v4(0x7f00_0102), port: 50022), server: .ip(.loopback6, port: 3022),
        identifier: "9f7c0a52-6f2b-4f3e-9d0a-000000000001", user: "alice@example.com", cluster: "east",
        hostUUID: "9f7c0a52-6f2b-4f3e-9d0a-000000000002", webProxyAddress: "proxy.east:3080")

    @Test(arguments: ["LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TERM", "COLORTERM", "NO_COLOR", "GIT_PROTOCOL"])
    func `what says how to talk to a person is taken`(name: String) {
        var environment = LoginEnvironment()
        let isTaken = environment.accept(name: name, value: "C.UTF-8")
        #expect(isTaken)
        #expect(environment.variables(account: Self.account, session: Self.session, terminal: nil).contains("\(name)=C.UTF-8"))
    }

    @Test(arguments: [
        "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "PATH", "BASH_ENV", "ENV", "IFS", "PS4", "SHELLOPTS", "PERL5OPT", "PYTHONPATH",
        "HOME", "SHELL", "USER", "LOGNAME", "SSH_CONNECTION", "SSH_TELEPORT_USER", "SSH_AUTH_SOCK", "GCONV_PATH", "LOCPATH", "NLSPATH",
        "TZDIR", "MALLOC_CHECK_", "lang", "LC_", "LC_ALL=x", "LC_a", "LC_\u{1b}", "",
    ])
    func `what could change the programs that run is refused`(name: String) {
        var environment = LoginEnvironment()
        let isTaken = environment.accept(name: name, value: "/tmp/evil")
        #expect(!isTaken)
        let variables = environment.variables(account: Self.account, session: Self.session, terminal: nil)
        #expect(!variables.contains { $0.contains("evil") })
    }

    @Test func `a flood of variables stops at the bound`() {
        var environment = LoginEnvironment()
        var taken = 0
        for index in 0..<1000 where environment.accept(name: "LC_\(index)", value: "C") { taken += 1 }
        #expect(taken == LoginEnvironment.clientVariablesMax)
    }

    @Test func `the session is described`() {
        let variables = LoginEnvironment().variables(
            account: Self.account, session: Self.session, terminal: (type: "xterm-256color", path: "/dev/pts/7"))
        #expect(
            Set(variables) == [
                "USER=alice", "LOGNAME=alice", "HOME=/home/alice", "SHELL=/bin/bash", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/games",
                "MAIL=/var/mail/alice", "TERM=xterm-256color", "SSH_TTY=/dev/pts/7", "SSH_CLIENT=127.0.1.2 50022 3022",
                "SSH_CONNECTION=127.0.1.2 50022 ::1 3022", "SSH_SESSION_ID=9f7c0a52-6f2b-4f3e-9d0a-000000000001",
                "SSH_TELEPORT_USER=alice@example.com", "SSH_TELEPORT_CLUSTER_NAME=east",
                "SSH_TELEPORT_HOST_UUID=9f7c0a52-6f2b-4f3e-9d0a-000000000002", "SSH_SESSION_WEBPROXY_ADDR=proxy.east:3080",
            ])
    }

    @Test func `each name is there once, and the terminal's type wins over a variable`() {
        var environment = LoginEnvironment()
        _ = environment.accept(name: "TERM", value: "dumb")
        _ = environment.accept(name: "LANG", value: "C")
        _ = environment.accept(name: "LANG", value: "de_DE.UTF-8")
        let variables = environment.variables(account: Self.account, session: Self.session, terminal: (type: "vt100", path: "/dev/pts/0"))
        let names = variables.map { $0.prefix { $0 != "=" } }
        #expect(Set(names).count == names.count)
        #expect(variables.contains("TERM=vt100") && variables.contains("LANG=de_DE.UTF-8"))
    }
}
