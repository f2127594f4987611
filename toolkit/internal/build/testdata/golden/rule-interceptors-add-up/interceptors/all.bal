public function outer (http:Caller c, http:Request r) {}
public function inner (http:Caller c, http:Request r) {}
public function ofPath (http:Caller c, http:Request r) {}
public function outerBack (http:Caller c, http:Response r) {}
public function innerBack (http:Caller c, http:Response r) {}
