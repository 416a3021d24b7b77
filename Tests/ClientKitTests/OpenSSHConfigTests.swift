import ClientKit
import Testing

@Suite("tsh config")
struct OpenSSHConfigTests {
    @Test func `it is a block that names all sites`() {
        let config = OpenSSHConfig(
            clusters: ["hub", "east"], login: "root", identityFile: "/home/a/.tsh/keys/p/alice",
            certificateFile: "/home/a/.tsh/keys/p/alice-cert.pub", knownHostsFile: "/home/a/.tsh/keys/p/known_hosts",
            proxyCommand: ["/usr/bin/tsh", "proxy", "ssh", "--proxy=p"])
        #expect(
            config.text == """
                Host *.hub *.east
                    User root
                    IdentityFile /home/a/.tsh/keys/p/alice
                    CertificateFile /home/a/.tsh/keys/p/alice-cert.pub
                    IdentitiesOnly yes
                    UserKnownHostsFile /home/a/.tsh/keys/p/known_hosts
                    StrictHostKeyChecking yes
                    ProxyCommand /usr/bin/tsh proxy ssh --proxy=p %r@%h:%p

                """)
    }

    @Test func `what is special to ssh_config or to a shell is itself`() {
        let text = OpenSSHConfig(
            clusters: ["hub"], login: "root", identityFile: "/home/a b/50%", certificateFile: "/a\"b", knownHostsFile: nil,
            proxyCommand: ["/opt/it's/tsh", "-i", "a b%c", ""]
        ).text
        #expect(text.contains("IdentityFile \"/home/a b/50%%\"\n"))
        #expect(text.contains("CertificateFile \"/a\\\"b\"\n"))
        #expect(!text.contains("UserKnownHostsFile"))
        #expect(text.contains("ProxyCommand '/opt/it'\\''s/tsh' -i 'a b%%c' '' %r@%h:%p\n"))
    }
}
