import Base
import ProxyService
import ReverseTunnel
import Testing

@Suite("The proxy's subsystems")
struct ProxySubsystemTests {
    @Test func `a node is named by host, port and site`() throws {
        #expect(try ProxySubsystem(parsing: "proxy:db1:3022") == .dial(RouteTarget(host: "db1", port: 3022)))
        #expect(try ProxySubsystem(parsing: "proxy:db1:0@east") == .dial(RouteTarget(host: "db1", port: 0, site: "east")))
        #expect(try ProxySubsystem(parsing: "proxy:[::1]:22@east") == .dial(RouteTarget(host: "::1", port: 22, site: "east")))
        #expect(try ProxySubsystem(parsing: "proxy:@east") == .authService(site: "east"))
        #expect(try ProxySubsystem(parsing: "proxysites") == .sites)
        #expect(try ProxySubsystem(parsing: "proxynodes") == .nodes(site: nil))
        #expect(try ProxySubsystem(parsing: "proxynodes:@east") == .nodes(site: "east"))
    }

    @Test(arguments: [
        "", "proxy", "proxy:", "proxy:db1", "proxy:db1:", "proxy:db1:x", "proxy:db1:65536", "proxy:db1:-1", "proxy:db1:+22", "proxy::22",
        "proxy:db1:22@", "proxy:db1:22@east@west", "proxy:db1@east", "proxy:[::1:22", "proxy:::1:22", "proxy:db1\0:22", "proxy:db1\n:22",
        "proxy:db 1:22", "proxy:@", "proxy:@a/b", "proxy:db1:22@../x", "proxynodes:", "proxynodes:@", "sftp", "proxysites ", "PROXY:db1:22",
    ])
    func `a malformed subsystem name is refused`(name: String) {
        #expect(throws: TeleportError.self) { try ProxySubsystem(parsing: name) }
    }

    @Test func `a subsystem name of 64 KiB is refused`() {
        let long = String(repeating: "a", count: 65536)
        #expect(throws: TeleportError.self) { try ProxySubsystem(parsing: "proxy:\(long):22") }
        #expect(throws: TeleportError.self) { try ProxySubsystem(parsing: "proxy:db1:22@\(long)") }
    }
}
