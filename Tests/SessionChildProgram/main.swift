import NodeService

SessionChild.runIfAsked()
