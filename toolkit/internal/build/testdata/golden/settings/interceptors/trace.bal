import ballerina/http;

public function addTrace (http:Caller outboundEp, http:Request req) {
    req.setHeader("X-Trace", "on");
}

public function hideServer(http:Caller outboundEp, http:Response res) {
    res.removeHeader("Server");
}
