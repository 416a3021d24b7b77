import Testing

/// A construct that this code does without, and what stands in its place.
struct BannedConstruct: Sendable, CustomTestStringConvertible {
    enum Scope: Sendable {
        case everywhere, sources, tests, pure
    }

    let name: String
    let instead: String
    let pattern: String
    var scope = Scope.everywhere
    /// Paths in which it is allowed.
    var except: Set<String> = []
    /// Whether comments are searched too.
    var inComments = false

    var testDescription: String { name }

    func applies(to file: SourceFile) -> Bool {
        if except.contains(file.path) || file.target == "TidyTests" { return false }
        switch scope {
        case .everywhere: return true
        case .sources: return file.isSource
        case .tests: return !file.isSource
        case .pure: return file.isSource && pureTargets.contains(file.target)
        }
    }
}

@Suite("Banned constructs")
struct BannedConstructsTests {
    static let constructs = [
        BannedConstruct(name: "try!", instead: "throw", pattern: #"\btry!"#),
        BannedConstruct(name: "as!", instead: "as? and say what is wrong", pattern: #"\bas!"#),
        BannedConstruct(name: "forced unwrapping", instead: "guard let, or #require in a test", pattern: #"[\w)\]}"]!(?!=)"#),
        BannedConstruct(name: "an empty catch", instead: "handle or pass on what went wrong", pattern: #"\bcatch\s*\{\s*\}"#),
        BannedConstruct(
            name: "a bare Task", instead: "loop.spawn", pattern: #"\bTask\s*(<[^>]*>)?\s*(\{|\(|\.detached\b|\.immediate\b)"#,
            except: ["Sources/EventLoop/Loop/EventLoop.swift"]),
        BannedConstruct(name: "nonisolated(unsafe)", instead: "Lock", pattern: #"nonisolated\(unsafe\)"#),
        BannedConstruct(name: "Foundation", instead: "FoundationEssentials", pattern: #"\bimport Foundation\b"#),
        BannedConstruct(name: "Synchronization.Mutex", instead: "Lock", pattern: #"\bMutex\s*[<(]"#),
        BannedConstruct(name: "another event loop", instead: "EventLoop", pattern: #"\bimport (Dispatch|NIO\w*)\b"#),
        BannedConstruct(
            name: "a clock of its own", instead: "an injected Clock or a time argument",
            pattern: #"\bDate\(\)|\b(Date|ContinuousClock|SuspendingClock)(\(\))?\.now\b|\bclock_gettime\b|\bgettimeofday\b"#,
            scope: .sources,
            except: ["Sources/EventLoop/Loop/SystemClock.swift"]),
        BannedConstruct(
            name: "a system random source", instead: "an injected Randomness",
            pattern: #"\.random\(|\.randomElement\(|\.shuffled\(\)|SystemRandomNumberGenerator|\bgetrandom\b"#, scope: .sources),
        BannedConstruct(
            name: "a global variable", instead: "what init is given",
            pattern: #"(?m)^(?:(?:package|internal|private|fileprivate) )?var \w+\b[^{\n]*(?:=|$)"#, scope: .sources),
        BannedConstruct(
            name: "a static variable", instead: "what init is given", pattern: #"\bstatic var \w+\b[^{\n]*="#, scope: .sources),
        BannedConstruct(
            name: "wider access than package", instead: "package",
            pattern:
                #"(?m)^\s*(?:final )?(?:public|open) (?:final |static )?(?:class|struct|enum|protocol|actor|func|var|let|init|extension|typealias)\b"#,
            scope: .sources),
        BannedConstruct(
            name: "a note of unfinished work", instead: "finished work", pattern: #"\b(TODO|FIXME|XXX|HACK)\b"#, inComments: true),
        BannedConstruct(
            name: "an unwritten body", instead: "the body", pattern: #"(?i)(preconditionFailure|fatalError)\(\s*"not (yet|implemented)"#,
            inComments: true),
        BannedConstruct(
            name: "a sleep in a test", instead: "a moved clock, or what is waited for", pattern: #"\b(u|nano)?sleep\("#, scope: .tests),
        BannedConstruct(
            name: "async in a pure target", instead: "bytes and events", pattern: #"\b(async|await|Task|actor)\b"#, scope: .pure),
    ]

    @Test(arguments: constructs)
    func `is nowhere`(construct: BannedConstruct) throws {
        let pattern = try Regex(construct.pattern)
        for file in SourceFile.all where construct.applies(to: file) {
            if construct.scope == .pure, pureTargetsWithAsync.contains(file.target) { continue }
            let text = construct.inComments ? file.text : file.code
            guard let match = text.firstMatch(of: pattern) else { continue }
            let line = text[..<match.range.lowerBound].count { $0 == "\n" } + 1
            Issue.record("\(file.path):\(line) has \(construct.name) (\(text[match.range])); instead: \(construct.instead)")
        }
    }

    @Test func `unsafe code stays with those who speak to C`() {
        for file in SourceFile.all where file.isSource && !unsafeTargets.contains(file.target) {
            if unsafeFiles.contains(file.pathInside) { continue }
            let isSafe = !file.code.contains("unsafe") && !file.code.contains("Unsafe")
            #expect(isSafe, "\(file.path) has unsafe code")
        }
    }

    @Test func `unchecked Sendable is where a thread boundary is owned`() {
        for file in SourceFile.all where file.isSource && file.code.contains(/@unchecked\s+Sendable/) {
            #expect(uncheckedSendableFiles.contains(file.pathInside), "\(file.path) has @unchecked Sendable")
        }
    }

    @Test func `no file or folder has a space in its name`() throws {
        for folder in ["Sources", "Tests"] {
            for path in try SourceFile.paths(in: folder) { #expect(!path.contains(" "), "\(path)") }
        }
    }

    /// A command's `abstract` says it, where it has one.
    @Test func `the main type of a file says what it is`() {
        for file in SourceFile.all where file.isSource && !file.text.contains("abstract: ") {
            let name = file.path.split(separator: "/").last?.dropLast(".swift".count) ?? ""
            let lines = file.text.split(separator: "\n", omittingEmptySubsequences: false)
            let kinds = ["class", "struct", "enum", "protocol", "actor"]
            let declaration = lines.firstIndex { line in
                let words = line.split { !$0.isLetter && !$0.isNumber && $0 != "_" }
                guard line.first?.isLetter == true, let kind = words.firstIndex(where: { kinds.contains(String($0)) }) else { return false }
                return words.indices.contains(kind + 1) && words[kind + 1] == name
            }
            guard let declaration else { continue }
            let above = lines[..<declaration].last { !$0.hasPrefix("@") }
            let isDocumented = above?.hasPrefix("///") == true
            #expect(isDocumented, "\(file.path):\(declaration + 1): \(name) has no doc comment")
        }
    }

    @Test func `comments and strings are no code`() {
        let text = """
            let a = "try!" // try!
            /* x! /* y! */ z! */ let b = #"c!"# + "\\(d["!"])"
            """
        let code = SourceFile.withoutCommentsAndStrings(text)
        #expect(!code.contains("!"))
        #expect(code.contains("let a = \"\"") && code.contains("let b = \"\" + \"\""))
    }
}
