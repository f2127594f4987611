import ballerina/http;

public function addTrace(http:Caller caller, http:Request request) {
    request.setHeader("X-Trace", "library");
}

public function hideServer(http:Caller caller, http:Response response) {
    response.removeHeader("Server");
}
