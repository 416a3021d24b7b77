package import Base
package import ClusterModel

/// Where a command runs: `[LOGIN@]NODE[@SITE]`, or `[LOGIN@]k=v[,k=v…][@SITE]` for every node with these labels. `NODE.SITE` is `NODE@SITE`
/// where there is such a site.
package struct CommandTarget: Equatable, Sendable {
    package enum Place: Equatable, Sendable {
        /// A node's name, UUID or address.
        case node(String)
        case labels(LabelSelector)
        /// `A@B`: node A of site B if there is such a site, else node B with login A.
        case either(String, String)
    }

    package let login: String?
    package let place: Place
    /// nil: the site that commands go to by default.
    package let site: String?

    init(login: String?, place: Place, site: String?) {
        self.login = login
        self.place = place
        self.site = site
    }

    package init(parsing text: String) throws(TeleportError) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false).map(String.init)
        guard !parts.contains("") else { throw Self.malformed(text) }
        if let labels = parts.firstIndex(where: { $0.contains("=") }) {
            // A value may hold an @ only where a site or a login is named too, so that the last and the first one tell.
            guard labels <= 1, parts.count - labels <= 2 else { throw Self.malformed(text) }
            self.init(
                login: labels == 1 ? parts[0] : nil, place: .labels(try LabelSelector(parsing: parts[labels])),
                site: labels + 1 < parts.count ? parts[labels + 1] : nil)
            return
        }
        switch parts.count {
        case 1: self.init(login: nil, place: .node(parts[0]), site: nil)
        case 2: self.init(login: nil, place: .either(parts[0], parts[1]), site: nil)
        case 3: self.init(login: parts[0], place: .node(parts[1]), site: parts[2])
        default: throw Self.malformed(text)
        }
    }

    /// The words behind the options of `tsh ssh`: where, and the command, joined by blanks as `ssh` does; nil where there is none.
    ///
    /// A `--` before the target or before the command ends the options, of which there are none.
    package static func split(_ words: [String]) throws(TeleportError) -> (target: CommandTarget, command: String?) {
        var words = words[...]
        if words.first == "--" {
            words.removeFirst()
        } else if let word = words.first, word.hasPrefix("-") {
            throw .badParameter("unknown option \(word)")
        }
        guard let target = words.popFirst() else { throw .badParameter("no node is named: [LOGIN@]NODE[@SITE]") }
        if words.first == "--" { words.removeFirst() }
        return (try CommandTarget(parsing: target), words.isEmpty ? nil : words.joined(separator: " "))
    }

    /// Whether it is clear what is meant by those of the sites alone that `isSite` knows.
    package func isDecided(isSite: (String) -> Bool) -> Bool {
        switch place {
        case .labels: true
        case .either(_, let right): isSite(right)
        case .node(let host):
            site != nil || !host.contains(".") || IPAddress(host) != nil || Names.splitSite(host, isSite: isSite) != nil
        }
    }

    /// The same without doubt: a node of a site, a node of the default site, or labels.
    package func resolved(isSite: (String) -> Bool) -> CommandTarget {
        switch place {
        case .labels: self
        case .either(let left, let right):
            isSite(right)
                ? CommandTarget(login: login, place: .node(left), site: right)
                : CommandTarget(login: left, place: .node(right), site: nil).resolved(isSite: isSite)
        case .node(let host):
            if site == nil, IPAddress(host) == nil, let (name, site) = Names.splitSite(host, isSite: isSite) {
                CommandTarget(login: login, place: .node(name), site: site)
            } else {
                self
            }
        }
    }

    private static func malformed(_ text: String) -> TeleportError {
        .badParameter("\(Names.quoted(text)) is not [LOGIN@]NODE[@SITE] or k=v[,k=v…][@SITE]")
    }
}
