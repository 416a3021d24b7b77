import Base
import ClusterModel
import Config
import Testing

@Suite struct YAMLWriterTests {
    static let texts = [
        "plain", "", " ", "yes", "No", "null", "~", "12", "1.5", "-", "- a", "a: b", "a #b", "#a", "&a", "*a", "!a", "|", ">", "%a", "@a",
        "`a", "?", "{a}",
        "[a]", "'a'", "\"a\"", "a\\b", "two\nlines\n", String(repeating: "long ", count: 180), "\u{7f}", "\u{9b}", "\u{2029}", "\u{ffff}",
        "tab\tin", "bell\u{7}", "é", "日本", "😀", "\u{2028}", "\u{85}", "\u{feff}a", "\u{0}", "---", "...",
        "a:", ":a", "a,b", "root@db1", "/var/lib", "=", "<<", "y", "0x1f", "1_000", "2026-11-24", "{{internal.logins}}",
    ]

    @Test(arguments: texts)
    func `every text reads back as itself, as a value, a key and in a list`(text: String) throws {
        struct Holder: Decodable {
            let value: String
            let list: [String]
            let map: [String: String]
        }
        struct Written: Encodable {
            let value: String
            let list: [String]
            let map: [String: String]
        }
        let json = try JSONText.encodeBytes(Written(value: text, list: [text, text], map: [text: text]))
        let written = try ResourceYAML.text(json: json)
        let document = try #require(try YAMLDocument.parse(written.bytes, file: "written"))
        let holder = try YAMLDecoder.decode(Holder.self, from: document)
        #expect(holder.value == text)
        #expect(holder.list == [text, text])
        #expect(holder.map == [text: text])
    }

    @Test func `JSON becomes block style, with numbers, booleans and null as they are`() throws {
        let json = #"{"a":[1,-2.5,true,null,"true",{"b":"c","d":[]},[["x"]]],"e":{},"f":"x\ny"}"#
        let text = try ResourceYAML.text(json: json.bytes)
        #expect(
            text == """
                a:
                  - 1
                  - -2.5
                  - true
                  - null
                  - "true"
                  - b: c
                    d: []
                  -
                    -
                      - x
                e: {}
                f: "x\\ny"

                """)
        #expect(try ResourceYAML.text(json: "3".bytes) == "3\n")
    }
}

@Suite struct ResourceYAMLTests {
    static let text = """
        kind: user
        metadata: {name: alice}
        spec:
          roles: [access]
          logins: [root, "no"]
        ---
        # a comment
        kind: role
        metadata: {name: dba}
        spec:
          allow:
            logins: ["{{internal.logins}}"]
            node_labels: {role: db}
          options: {max_session_ttl: 8h, forward_agent: no}
        """

    @Test func `resources are read, one a document, and written so that they read as the same`() throws {
        let resources = try ResourceYAML.resources(Self.text.bytes, file: "r.yaml")
        #expect(resources.map(\.name) == ["alice", "dba"])
        guard case .user(let user) = resources[0], case .role(let role) = resources[1] else { Issue.record("other kinds"); return }
        #expect(user.logins == ["root", "no"])
        #expect(role.allow.nodeLabels == LabelSelector(["role": ["db"]]))
        #expect(!role.options.permitAgentForwarding)
        let again = try ResourceYAML.resources(try ResourceYAML.text(resources).bytes, file: "again.yaml")
        #expect(again == resources)
    }

    static let refused = [
        Refused("", "r.yaml: no resource is in it"),
        Refused("kind: pet\nmetadata: {name: x}\nspec: {}\n", "r.yaml:1: kind: \"pet\" is none of user, role, token, "),
        Refused("kind: user\nmetadata: {name: x}\nspce: {}\n", "r.yaml:1: unknown key \"spce\"; known here: kind, version, metadata, spec"),
        Refused("kind: user\nmetadata:\n  name: x\nspec:\n  logins: root\n", "r.yaml:5: spec.logins: a list is expected, found \"root\""),
        Refused("kind: user\nmetadata:\n  name: x\n", "r.yaml:1: the key spec is missing"),
        Refused("kind: user\nmetadata: {name: a/b}\nspec: {}\n", "r.yaml:1: user name \"a/b\" has characters that are not allowed"),
    ]

    @Test(arguments: refused)
    func `what is no resource is refused by line and path`(vector: Refused) {
        let text = message { () throws(TeleportError) in _ = try ResourceYAML.resources(vector.text.bytes, file: "r.yaml") }
        #expect(text?.hasPrefix(vector.message) == true, "\(text ?? "accepted")")
    }
}
