package import Base
package import ClusterModel

/// Resources of the cluster as YAML: what `tctl create` reads and `tctl get` prints.
package enum ResourceYAML {
    /// The resources of a file, one a document.
    ///
    /// - Throws: `BadParameter` with file, line and path; also where there is none.
    package static func resources(_ text: [UInt8], file: String) throws(TeleportError) -> [Resource] {
        let documents = try YAMLDocument.parseAll(text, file: file)
        guard !documents.isEmpty else { throw .badParameter("\(file): no resource is in it") }
        var resources: [Resource] = []
        for document in documents { resources.append(try YAMLDecoder.decode(Resource.self, from: document)) }
        return resources
    }

    /// The resources as one file.
    package static func text(_ resources: [Resource]) throws(TeleportError) -> String {
        var texts: [String] = []
        for resource in resources {
            do {
                texts.append(try text(json: try JSONText.encodeBytes(resource)))
            } catch let error as TeleportError {
                throw error
            } catch {
                throw .badParameter("\(resource.kind.rawValue) \(resource.name) cannot be written", cause: error)
            }
        }
        return texts.joined(separator: "---\n")
    }

    /// Any JSON as YAML, keys in their order.
    package static func text(json: [UInt8]) throws(TeleportError) -> String {
        // JSON as our encoder writes it is YAML in flow style, where its texts are quoted and all else is plain; but for characters
        // that YAML takes for line ends, or does not take at all. They stand in texts only, so that an escape is the same.
        var flow = String.UnicodeScalarView()
        for scalar in String(decoding: json, as: UTF8.self).unicodeScalars {
            switch scalar {
            case "\u{7f}"..."\u{9f}", "\u{2028}", "\u{2029}", "\u{feff}", "\u{fffe}", "\u{ffff}":
                let digits = String(scalar.value, radix: 16)
                flow.append(contentsOf: ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).unicodeScalars)
            default: flow.append(scalar)
            }
        }
        guard let document = try YAMLDocument.parse(Array(String(flow).utf8), file: "JSON") else { return "null\n" }
        return YAMLWriter.write(document.root)
    }
}
