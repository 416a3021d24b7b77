import Base
import Config
import Testing

@Suite struct YAMLDocumentTests {
    static let refused = [
        Refused("a: 1\nb: 2\na: 3\n", "f.yaml:3: the key \"a\" is already on line 1"),
        Refused("a: 1\n{x}: 2\n", "f.yaml:2: a key must be a text"),
        Refused("a: *b\n", "f.yaml:1: the alias *b stands for nothing before it"),
        Refused("a: &b [*b]\n", "f.yaml:1: the alias *b stands for nothing before it"),
        Refused("a: 1\nb: !!binary aGk=\n", "f.yaml:2: the tag tag:yaml.org,2002:binary is not known here"),
        Refused("a: !thing {b: 1}\n", "f.yaml:1: the tag !thing is not known here"),
        Refused("a: 1\nb: [1, 2\nc: 3\n", "f.yaml:3: not YAML: while parsing a flow sequence: did not find expected ',' or ']'"),
        Refused("a:\n\tb: 1\n", "f.yaml:2: not YAML: while scanning for the next token: found character that cannot start any token"),
        Refused("a: 1\nb: \u{0}\n", "f.yaml:2: not YAML: control characters are not allowed"),
        Refused("a: 1\n---\nb: 1\n", "f.yaml:3: a second document begins; one is expected"),
        Refused(
            String(repeating: "[", count: YAMLDocument.depthMax + 1) + String(repeating: "]", count: YAMLDocument.depthMax + 1),
            "f.yaml:1: nested deeper than 32 levels"),
        Refused(
            "[" + String(repeating: "1,", count: YAMLDocument.nodesMax) + "]",
            "f.yaml:1: more than 50000 values, aliases written out"),
        Refused(String(repeating: "#", count: YAMLDocument.bytesMax + 1), "f.yaml:1: the file has 1048577 bytes, at most 1048576 are read"),
    ]

    @Test(arguments: refused)
    func `what is no file of ours is refused, with its line`(vector: Refused) {
        #expect(message { () throws(TeleportError) in _ = try YAMLDocument.parse(vector.text.bytes, file: "f.yaml") } == vector.message)
    }

    @Test func `bytes that are no UTF-8 are refused, with their line`() {
        let text = message { () throws(TeleportError) in _ = try YAMLDocument.parse("a: 1\nb: ".bytes + [0xff, 0x0a], file: "f.yaml") }
        #expect(text?.hasPrefix("f.yaml:2: not YAML: ") == true, "\(text ?? "accepted")")
    }

    @Test func `aliases that double nine times nine times are refused before they are written out`() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1..<9 {
            text += "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ") + "]\n"
        }
        let message = message { () throws(TeleportError) in _ = try YAMLDocument.parse(text.bytes, file: "f.yaml") }
        #expect(message == "f.yaml:5: more than 50000 values, aliases written out")
    }

    @Test func `an alias is what its anchor was, to the depth that the limit allows`() throws {
        let document = try #require(try YAMLDocument.parse("a: &x {k: [1]}\nb: *x\n".bytes, file: "f.yaml"))
        guard case .mapping(let pairs) = document.root.content else { Issue.record("no mapping"); return }
        #expect(pairs[0].value == pairs[1].value)
        #expect(pairs[1].line == 2)
    }

    @Test(arguments: ["", "# only a comment\n", "---\n", "~\n"])
    func `a file with nothing in it is no document`(text: String) throws {
        #expect(try YAMLDocument.parse(text.bytes, file: "f.yaml") == nil)
    }
}

@Suite struct YAMLDecoderTests {
    struct Inner: Decodable, Equatable {
        var yes: Bool?
        var count: UInt16?
        var name: String?
        var names: [String]?
        var map: [String: String]?
    }

    struct Outer: Decodable, Equatable {
        enum Color: String, Decodable, CaseIterable { case red, green }
        var inner: Inner?
        var list: [Inner]?
        var color: Color?
    }

    static func decode(_ text: String) throws(TeleportError) -> Outer {
        guard let document = try YAMLDocument.parse(text.bytes, file: "f.yaml") else { return Outer() }
        return try YAMLDecoder.decode(Outer.self, from: document)
    }

    static let refused = [
        Refused("inner:\n  yes: maybe\n", "f.yaml:2: inner.yes: yes or no is expected, found \"maybe\""),
        Refused("inner:\n  count: many\n", "f.yaml:2: inner.count: a whole number from 0 to 65535 is expected, found \"many\""),
        Refused("inner:\n  count: 65536\n", "f.yaml:2: inner.count: a whole number from 0 to 65535 is expected, found \"65536\""),
        Refused("inner:\n  count: -1\n", "f.yaml:2: inner.count: a whole number from 0 to 65535 is expected, found \"-1\""),
        Refused("inner:\n  count: \"12\"\n", "f.yaml:2: inner.count: a whole number from 0 to 65535 is expected, found \"12\""),
        Refused("inner:\n  name: [a]\n", "f.yaml:2: inner.name: a text is expected, found a list"),
        Refused("inner:\n  names: a\n", "f.yaml:2: inner.names: a list is expected, found \"a\""),
        Refused("inner:\n  names: [a, {b: c}]\n", "f.yaml:2: inner.names[1]: a text is expected, found keys and values"),
        Refused("inner:\n  names: [a, ~]\n", "f.yaml:2: inner.names[1]: a text is expected, found nothing"),
        Refused("inner:\n  map: {a: [b]}\n", "f.yaml:2: inner.map.a: a text is expected, found a list"),
        Refused("inner: 3\n", "f.yaml:1: inner: keys and values are expected, found \"3\""),
        Refused("inner:\n  yes: no\n  naem: x\n", "f.yaml:3: inner.naem: unknown key; known here: yes, count, name, names, map"),
        Refused("list:\n  - yes: no\n  - naem: x\n", "f.yaml:3: list[1].naem: unknown key; known here: yes, count, name, names, map"),
        Refused("outer: 1\n", "f.yaml:1: outer: unknown key; known here: inner, list, color"),
        Refused("color: blue\n", "f.yaml:1: color: \"blue\" is none of red, green"),
        Refused("- a\n", "f.yaml:1: keys and values are expected, found a list"),
    ]

    @Test(arguments: refused)
    func `wrong types and unknown keys are named by path and line`(vector: Refused) {
        #expect(message { () throws(TeleportError) in _ = try Self.decode(vector.text) } == vector.message)
    }

    @Test(arguments: [("yes", true), ("on", true), ("True", true), ("no", false), ("off", false), ("FALSE", false), ("\"no\"", false)])
    func `booleans are what people write`(text: String, value: Bool) throws {
        #expect(try Self.decode("inner: {yes: \(text)}").inner?.yes == value)
    }

    @Test(arguments: ["no", "12", "1e3", "0x10", "2026-11-24", "true"])
    func `where a text is expected, nothing is read as something else`(text: String) throws {
        #expect(try Self.decode("inner: {name: \(text)}").inner?.name == text)
    }

    @Test func `a key without a value is as good as none`() throws {
        #expect(try Self.decode("inner:\n  name: ~\n  names:\n") == Outer(inner: Inner()))
        #expect(try Self.decode("inner: {name: \"\", map: {}}").inner == Inner(name: "", map: [:]))
    }
}
