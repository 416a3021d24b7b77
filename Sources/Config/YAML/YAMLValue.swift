/// A node of a YAML document, with the line it stands on.
package struct YAMLValue: Sendable, Equatable {
    package indirect enum Content: Sendable, Equatable {
        /// - Parameter isPlain: written without quotes, so that `yes`, `12` and `null` may be more than text.
        case scalar(String, isPlain: Bool)
        case sequence([YAMLValue])
        case mapping([YAMLPair])
    }

    package let content: Content
    /// Counted from 1; 0 for a value that was not read from a file.
    package let line: Int
    /// Tells the nodes of one document apart.
    let id: Int

    init(_ content: Content, line: Int = 0, id: Int = 0) {
        self.content = content
        self.line = line
        self.id = id
    }

    package static func text(_ text: String) -> YAMLValue { YAMLValue(.scalar(text, isPlain: false)) }
    package static func plain(_ text: String) -> YAMLValue { YAMLValue(.scalar(text, isPlain: true)) }
    package static func list(_ values: [YAMLValue]) -> YAMLValue { YAMLValue(.sequence(values)) }
    /// Without the keys whose value is nil.
    package static func map(_ pairs: KeyValuePairs<String, YAMLValue?>) -> YAMLValue {
        YAMLValue(.mapping(pairs.compactMap { key, value in value.map { YAMLPair(key: key, line: 0, value: $0) } }))
    }

    /// Whether this is the null of YAML's core schema.
    package var isNull: Bool {
        guard case .scalar(let text, isPlain: true) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// What the value is, in words for an error.
    var shape: String {
        switch content {
        case .scalar(let text, _): isNull ? "nothing" : "\"\(text.prefix(64))\""
        case .sequence: "a list"
        case .mapping: "keys and values"
        }
    }
}

/// A key of a mapping and what stands under it.
package struct YAMLPair: Sendable, Equatable {
    package let key: String
    package let line: Int
    package let value: YAMLValue
}

/// What is wrong in a YAML file, and where.
package struct YAMLError: Error, Equatable, Sendable, CustomStringConvertible {
    package let file: String
    package let line: Int
    /// The keys that lead there, `proxy_service.listen_addr`; empty at the top.
    package let path: String
    package let message: String

    package var description: String {
        "\(file):\(line): \(path.isEmpty ? "" : path + ": ")\(message)"
    }
}
