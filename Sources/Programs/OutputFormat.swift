internal import ArgumentParser
package import Base

/// How a listing is printed.
package enum OutputFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    case text, json

    /// Prints a listing on stdout, for people or for scripts.
    package func show(_ value: some Encodable, _ table: () -> Table) throws(TeleportError) {
        switch self {
        case .text: print(table().text, terminator: "")
        case .json: print(try JSONOutput.text(value))
        }
    }
}
