/// The command line with which a client asks for the other side of its copy: `scp -t PATH` or `scp -f PATH…`.
package struct SCPCommand: Equatable, Sendable {
    package enum Direction: Equatable, Sendable {
        /// `-t`: what the client sends is written here.
        case sink
        /// `-f`: what is here is sent to the client.
        case source
    }

    package var direction: Direction
    /// `-r`
    package var isRecursive = false
    /// `-p`: times and modes are kept.
    package var preserves = false
    /// `-d`: the target has to be a directory.
    package var wantsDirectory = false
    package var paths: [[UInt8]]

    package init(direction: Direction, isRecursive: Bool = false, preserves: Bool = false, wantsDirectory: Bool = false, paths: [[UInt8]]) {
        self.direction = direction
        self.isRecursive = isRecursive
        self.preserves = preserves
        self.wantsDirectory = wantsDirectory
        self.paths = paths
    }

    /// - Parameter words: as a shell would have split and expanded them.
    /// - Returns: nil for what is no such command, an `scp` of the user's own among it.
    package init?(words: [[UInt8]]) {
        guard words.first == Array("scp".utf8) else { return nil }
        self.init(direction: .sink, paths: [])
        var direction: Direction?
        var index = 1
        while index < words.count, words[index].count > 1, words[index][0] == UInt8(ascii: "-") {
            defer { index += 1 }
            if words[index] == Array("--".utf8) { break }
            for letter in words[index].dropFirst() {
                switch letter {
                case UInt8(ascii: "t") where direction != .source: direction = .sink
                case UInt8(ascii: "f") where direction != .sink: direction = .source
                case UInt8(ascii: "r"): isRecursive = true
                case UInt8(ascii: "p"): preserves = true
                case UInt8(ascii: "d"): wantsDirectory = true
                // How much is said of what is done, and by which program's rules: nothing that changes what is copied.
                case UInt8(ascii: "v"), UInt8(ascii: "q"), UInt8(ascii: "E"): break
                default: return nil
                }
            }
        }
        guard let direction, index < words.count else { return nil }
        self.direction = direction
        paths = Array(words[index...])
        if direction == .sink, paths.count != 1 { return nil }
    }

    /// Whether a command line, as yet unexpanded, is that of a copy: what is expanded, and by whom, is for the user's own process to see.
    package static func isCopy(commandLine: [UInt8]) -> Bool {
        let words = commandLine.split(separator: UInt8(ascii: " ")).map(Array.init)
        var options = words.dropFirst().prefix { $0.count > 1 && $0.first == UInt8(ascii: "-") }
        if let end = options.firstIndex(of: Array("--".utf8)) { options = options[...end] }
        guard let name = words.first, words.count > options.count + 1 else { return false }
        return SCPCommand(words: [name] + options + [[UInt8(ascii: ".")]]) != nil
    }
}
