public function change (http:Caller c, http:Request r) {}
public function change (http:Caller c, http:Response r) {}
