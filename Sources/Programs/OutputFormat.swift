internal import ArgumentParser

/// How a listing is printed.
package enum OutputFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    case text, json
}
