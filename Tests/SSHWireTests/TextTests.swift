import Base
import SSHWire
import Testing

@Suite("authorized_keys lines")
struct AuthorizedKeyTests {
    let key = PrivateKey.generate(randomness: SeededRandomness(seed: 3)).publicKey

    @Test func `a line is options, key and comment`() throws {
        let text = key.text()
        #expect(try AuthorizedKey(line: text) == AuthorizedKey(key: key))
        #expect(try AuthorizedKey(line: text + " me at home") == AuthorizedKey(key: key, comment: "me at home"))
        #expect(try AuthorizedKey(line: " \t" + text + " \n") == AuthorizedKey(key: key))
        let options = [#"command="a, \"b\" c""#, "no-pty", #"from="10.*,!10.1.1.1""#]
        let line = options.joined(separator: ",") + " " + text + " x"
        let parsed = try AuthorizedKey(line: line)
        #expect(parsed == AuthorizedKey(options: options, key: key, comment: "x"))
        #expect(parsed.line == line)
    }

    @Test func `a line that is no key is refused`() {
        let text = key.text()
        for bad in [
            "", "# comment", "# " + text, "#" + text, "ssh-ed25519", "ssh-ed25519 ", "ssh-ed25519 !!!!", "ssh-rsa " + text.dropFirst(12),
            "command=\"open " + text,
            text + "\n" + text, "ssh-dss AAAA", "no-pty",
        ] {
            #expect(throws: KeyError.self, "\(bad)") { try AuthorizedKey(line: String(bad)) }
        }
    }
}

@Suite("known_hosts")
struct KnownHostsTests {
    let key = PrivateKey.generate(randomness: SeededRandomness(seed: 3)).publicKey

    func line(_ patterns: String, marker: KnownHostsLine.Marker? = nil) -> KnownHostsLine {
        KnownHostsLine(marker: marker, patterns: patterns.split(separator: ",").map(String.init), key: key)
    }

    @Test func `a line end within a line is refused`() {
        for bad in ["a\n@cert-authority,b \(key.text())", "a\r\nb \(key.text())", "a \(key.text()) x\n* \(key.text())"] {
            #expect(throws: KeyError.badText("more than one line")) { try KnownHostsLine(line: bad) }
        }
    }

    @Test(arguments: ["#a", ",a", "a,,b", "a,", ",@cert-authority"])
    func `a comment's sign and empty patterns are no host`(patterns: String) {
        #expect(throws: KeyError.badText("not a known_hosts line")) { try KnownHostsLine(line: "\(patterns) \(key.text())") }
    }

    @Test func `a line that is written reads as itself`() throws {
        for marker in [nil, .certAuthority, .revoked] as [KnownHostsLine.Marker?] {
            let written = KnownHostsLine(marker: marker, patterns: ["*.east", "[db1]:3022"], key: key, comment: "hub")
            #expect(try KnownHostsLine(line: written.line) == written)
        }
        #expect(line("*.east", marker: .certAuthority).line == "@cert-authority *.east \(key.text())")
    }

    @Test(arguments: [
        ("db1", "db1", 22, true), ("db1", "DB1", 22, true), ("DB1", "db1", 22, true), ("db1", "db2", 22, false),
        ("db1", "db1", 23, false), ("[db1]:23", "db1", 23, true), ("[db1]:23", "db1", 22, false),
        ("*.east", "db1.east", 22, true), ("*.east", "db1.east.evil", 22, false), ("*.east", "east", 22, false),
        ("db?", "db1", 22, true), ("db?", "db", 22, false), ("*,!db1", "db1", 22, false), ("!db1,*", "db1", 22, false),
        ("*,!db1", "db2", 22, true), ("!db1", "db2", 22, false), ("a,b", "b", 22, true), ("*", "x", 22, true),
        ("[*.east]:*", "db1.east", 3022, true), ("*a*b*c", "xaxxbxc", 22, true), ("*a*b*c", "xaxxbx", 22, false),
    ])
    func `patterns match as ssh_config says`(patterns: String, host: String, port: UInt16, isMatch: Bool) {
        #expect(line(patterns).matches(host: host, port: port) == isMatch)
    }

    @Test func `an authority for a host is one on every port`() {
        #expect(line("*.east", marker: .certAuthority).matches(host: "db1.east", port: 3022))
        #expect(!line("*.east").matches(host: "db1.east", port: 3022))
    }

    @Test func `a long pattern of stars takes no time to speak of`() {
        let pattern = String(repeating: "*a", count: 500) + "b"
        #expect(!line(pattern).matches(host: String(repeating: "a", count: 1000)))
    }

    @Test func `hashed names of ssh-keygen match`() throws {
        let openSSH = try OpenSSH()
        try openSSH.write(line("db1.east").line + "\n" + line("[db1.east]:3022").line + "\n", to: "known_hosts")
        try openSSH.run("ssh-keygen -q -H -f known_hosts")
        let text = try openSSH.read("known_hosts")
        #expect(!text.contains("db1"))
        let hosts = KnownHosts(text: text)
        #expect(hosts.hostKeys(host: "db1.east") == [key])
        #expect(hosts.hostKeys(host: "db1.east", port: 3022) == [key])
        #expect(hosts.hostKeys(host: "db2.east").isEmpty)
    }

    @Test func `ssh-keygen finds our lines`() throws {
        let openSSH = try OpenSSH()
        var hosts = KnownHosts()
        hosts.add(line("*.east,*.west", marker: .certAuthority))
        hosts.add(line("other"))
        try openSSH.write(hosts.text, to: "known_hosts")
        #expect(try openSSH.run("ssh-keygen -F db1.east -f known_hosts").contains("CA"))
        #expect(try openSSH.attempt("ssh-keygen -F db1.north -f known_hosts").status != 0)
    }

    @Test func `a file's other lines are left out`() throws {
        let text = """
            # a comment

            @unknown x \(key.text())
            @cert-authority *.east \(key.text()) hub
            @revoked * \(key.text())
            db1 ssh-dss AAAA
            db1
            db2\t\(key.text())
            |1|c2hvcnQ=|AAAA \(key.text())
            """
        let hosts = KnownHosts(text: text)
        #expect(hosts.lines.count == 4)
        #expect(hosts.authorities(host: "db1.east") == [key])
        #expect(hosts.authorities(host: "db1.west").isEmpty)
        #expect(hosts.hostKeys(host: "db2") == [key])
        #expect(hosts.isRevoked(key, host: "anything"))
        #expect(KnownHosts(text: hosts.text).lines == hosts.lines)
    }
}
