document.querySelector("main").textContent += ", the lab";
