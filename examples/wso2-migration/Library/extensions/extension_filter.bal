// A hook of the program that WSO2's toolkit generates; this one does nothing.
import ballerina/http;

public type ExtensionFilter object {
    public function filterRequest(http:Caller caller, http:Request request, http:FilterContext context) returns boolean {
        return true;
    }

    public function filterResponse(http:Response response, http:FilterContext context) returns boolean {
        return true;
    }
};
