import Base
import ClientKit
import ClusterModel
import Crypto
import EventLoop
import SSHWire
import Testing

/// A folder that goes with the test.
final class TemporaryDirectory {
    let path = "/tmp/client-kit-test-\(SystemRandomness().uuid())"

    init() throws {
        try FileIO.createDirectory(path)
    }

    deinit {
        try? FileIO.removeTree(path)
    }
}

@Suite("Where we are logged in")
struct ClientLoginTests {
    let hub = TestCluster("hub", seed: 1)
    let home: TemporaryDirectory
    var store: KeyStore { KeyStore(home: home.path) }

    init() throws {
        home = try TemporaryDirectory()
    }

    private func logIn(_ proxy: String = "proxy.example", site: String? = nil) throws {
        let keys = UserKeys(randomness: SystemRandomness())
        try store.save(
            Profile(proxy: proxy, webPort: 3080, sshPort: 13023, user: "alice", cluster: "hub", site: site), privateKey: keys.sshPrivateKey,
            publicKey: keys.sshPublicKey, certificate: try hub.userCertificate(keys.ssh).text(), authorities: [hub.hostAuthority],
            hostKeys: [])
    }

    private func identityFile() throws -> String {
        let keys = UserKeys(randomness: SystemRandomness())
        let path = "\(home.path)/identity"
        let file = IdentityFile(
            privateKey: keys.sshPrivateKey, certificate: try hub.userCertificate(keys.ssh, logins: ["ci"]).text(),
            authorities: [hub.hostAuthority])
        try FileIO.write(Array(file.text.utf8), to: path)
        return path
    }

    private func find(_ wishes: ClientLogin.Wishes) throws -> ClientLogin {
        try ClientLogin(wishes, home: home.path)
    }

    @Test func `without a login every command says how to get one`() {
        #expect(throws: TeleportError.self) { try find(.init()) }
        #expect(throws: TeleportError.self) { try find(.init(proxy: "proxy.example")) }
    }

    @Test func `the last login is the one that counts`() throws {
        try logIn("a.example")
        try logIn("b.example", site: "east")
        let login = try find(.init())
        #expect(login.proxy == HostPort(host: "b.example", port: 13023))
        #expect(login.site == "east")
        #expect(login.identity.user == "alice")
        #expect(try find(.init(proxy: "a.example")).proxy.host == "a.example")
        #expect(try find(.init(proxy: "a.example")).site == "hub")
    }

    @Test func `flags beat the profile`() throws {
        try logIn(site: "east")
        #expect(try find(.init(site: "west")).site == "west")
        #expect(try find(.init(proxy: "proxy.example:443,99")).proxy.port == 99)
        #expect(throws: TeleportError.self) { try find(.init(user: "bob")) }
        #expect(throws: TeleportError.self) { try find(.init(proxy: "other.example")) }
    }

    @Test func `flags beat the environment, and what is empty there is absent`() {
        let environment = ["TELEPORT_PROXY": "env.example", "TELEPORT_USER": "eve", "TELEPORT_SITE": ""]
        let filled = ClientLogin.Wishes(proxy: "flag.example").filled { environment[$0] }
        #expect(filled == ClientLogin.Wishes(proxy: "flag.example", user: "eve", site: nil))
        #expect(ClientLogin.Wishes().filled { environment[$0] }.proxy == "env.example")
        #expect(ClientLogin.Wishes(identity: "id").filled { environment[$0] }.user == nil)
    }

    @Test func `an identity needs a proxy, and finds port 3023 there`() throws {
        let path = try identityFile()
        #expect(throws: TeleportError.self) { try find(.init(identity: path)) }
        let login = try find(.init(proxy: "10.0.0.1", identity: path))
        #expect(login.proxy == HostPort(host: "10.0.0.1", port: 3023))
        #expect(login.site == "hub")
        #expect(login.identity.user == "alice")
        #expect(try find(.init(proxy: "10.0.0.1:443,4023", identity: path)).proxy.port == 4023)
        #expect(throws: TeleportError.self) { try find(.init(proxy: "10.0.0.1", user: "bob", identity: path)) }
    }

    @Test func `the login is the one asked for, ours where it is allowed, or the first`() throws {
        try logIn()
        let login = try find(.init())
        #expect(try login.login(asked: "postgres", localUser: "deploy") == "postgres")
        #expect(try login.login(asked: nil, localUser: "deploy") == "deploy")
        #expect(try login.login(asked: nil, localUser: "joe") == "root")
        #expect(try login.login(asked: nil, localUser: nil) == "root")
    }

    @Test func `logging out removes the key and the profile`() throws {
        try logIn("a.example")
        try logIn("b.example")
        #expect(try store.profiles().map(\.proxy) == ["a.example", "b.example"])
        try store.logout(proxy: "b.example")
        #expect(try store.profiles().map(\.proxy) == ["a.example"])
        #expect(try store.profile(proxy: nil) == nil)
        #expect(try FileIO.status("\(store.directory)/keys/b.example") == nil)
        #expect(try FileIO.status("\(store.directory)/keys/a.example") != nil)
    }

    @Test func `what is secret is for this user's eyes alone`() throws {
        try logIn()
        let key = try #require(try FileIO.status("\(store.directory)/keys/proxy.example/alice"))
        #expect(key.mode & 0o777 == 0o600)
        let directory = try #require(try FileIO.status("\(store.directory)/keys"))
        #expect(directory.mode & 0o777 == 0o700)
    }

    @Test(arguments: ["../x", "a/b", ".", "..", ""])
    func `a proxy's name cannot lead out of the folder`(name: String) {
        #expect(throws: TeleportError.self) { try store.profile(proxy: name) }
        #expect(throws: TeleportError.self) { try store.logout(proxy: name) }
    }
}

@Suite struct ProxyAddressTests {
    @Test func `names host, web port and SSH port`() throws {
        let cases: [(text: String, host: String, web: UInt16, ssh: UInt16?)] = [
            ("proxy.example", "proxy.example", 3080, nil), ("proxy.example:443", "proxy.example", 443, nil),
            ("proxy.example:443,23", "proxy.example", 443, 23), ("proxy.example,23", "proxy.example", 3080, 23),
            ("10.0.0.1", "10.0.0.1", 3080, nil), ("[::1]:443", "::1", 443, nil), ("::1", "::1", 3080, nil),
        ]
        for wanted in cases {
            let address = try ProxyAddress(wanted.text)
            #expect(address.host == wanted.host && address.webPort == wanted.web && address.sshPort == wanted.ssh, "\(wanted.text)")
        }
    }

    @Test(arguments: ["", ":443", "a:0", "a:x", "a:1,2,3", "a:1,", "a:1,0", "a:99999", "a:1:2"])
    func `is refused`(text: String) {
        #expect(throws: TeleportError.self) { try ProxyAddress(text) }
    }
}

@Suite struct SignupURLTests {
    @Test func `names the proxy and the token`() throws {
        let url = try SignupURL("https://proxy.example:3080/web/newuser/abc123")
        #expect(url.server == HostPort(host: "proxy.example", port: 3080) && url.token == "abc123")
        #expect(try SignupURL("https://proxy.example/web/newuser/abc123").server.port == 3080)
    }

    @Test(arguments: [
        "", "http://p:3080/web/newuser/abc", "https://p:3080/web/newuser/", "https://p:3080/web/newuser/a/b", "https://p:3080/abc", "abc",
    ])
    func `is refused, and not repeated`(text: String) {
        let error = #expect(throws: TeleportError.self) { try SignupURL(text) }
        #expect(text.isEmpty || error?.message.contains("/abc") == false)
    }
}
