import NodeService

SessionChild.runIfAsked()
SocketChild.runIfAsked()
