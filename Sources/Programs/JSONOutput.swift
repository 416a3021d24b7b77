package import Base
internal import FoundationEssentials

/// JSON for scripts: stable keys in alphabetical order.
package enum JSONOutput {
    package static func text(_ value: some Encodable) throws(TeleportError) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(value), as: UTF8.self)
        } catch {
            throw .badParameter("the answer cannot be written as JSON", cause: error)
        }
    }
}
